/** A progress bar on stderr: bytes, rate, time left. Draws nothing when stderr is no terminal. */

import { formatBytes, formatDuration, formatRate } from './format.js';
import { terminalColumns } from './terminal.js';
import { displayWidth, fitText } from './text.js';

export interface ProgressState {
  readonly done: number;
  readonly total: number;
  /** What is still being counted: total will grow. */
  readonly counting: boolean;
  readonly elapsedMs: number;
  /** Recent rate, in bytes per second. */
  readonly rate: number;
  readonly label: string;
}

const BAR_WIDTH = 24;

/** One line of at most `columns` columns. Pure. */
export function renderProgress(state: ProgressState, columns: number): string {
  const part = state.total === 0 ? (state.counting ? 0 : 1) : Math.min(1, state.done / state.total);
  const filled = Math.round(part * BAR_WIDTH);
  const bar = `[${'='.repeat(Math.max(0, filled - 1))}${filled > 0 ? '>' : ''}${' '.repeat(BAR_WIDTH - filled)}]`;
  const percent = state.counting ? '   ?' : `${String(Math.floor(part * 100)).padStart(3)}%`;
  const left = state.rate > 0 && !state.counting ? formatDuration((state.total - state.done) / state.rate) : '-';
  const figures = `${percent} ${formatBytes(state.done)} of ${formatBytes(state.total)}  ${formatRate(state.rate)}  ${left} left`;
  const long = `${bar} ${figures}  ${state.label}`;
  const short = `${bar} ${figures}`;
  const text = displayWidth(short) + 8 > columns ? figures : long;
  return fitText(text, Math.max(0, columns));
}

const REDRAW_MS = 100;
/** The rate is that of about the last two seconds, so that time left follows what happens now. */
const RATE_HALF_LIFE_MS = 2000;

export class Progress {
  done = 0;
  total = 0;
  counting = true;
  label = '';
  #rate = 0;
  #lastDone = 0;
  #lastMs = performance.now();
  readonly #startedMs = performance.now();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(enabled: boolean) {
    if (enabled) this.#timer = setInterval(() => this.#draw(), REDRAW_MS).unref();
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  #draw(): void {
    const now = performance.now();
    const passedMs = now - this.#lastMs;
    const current = ((this.done - this.#lastDone) / Math.max(1, passedMs)) * 1000;
    const weight = this.#rate === 0 ? 1 : 1 - 0.5 ** (passedMs / RATE_HALF_LIFE_MS);
    this.#rate += (current - this.#rate) * weight;
    this.#lastDone = this.done;
    this.#lastMs = now;
    const { done, total, counting, label, elapsedMs } = this;
    const line = renderProgress({ done, total, counting, elapsedMs, rate: this.#rate, label }, terminalColumns(process.stderr, 80) - 1);
    process.stderr.write(`\r\x1b[K${line}`);
  }

  /** Takes the bar away, for a line of text or for good. */
  clear(): void {
    if (this.#timer !== undefined) process.stderr.write('\r\x1b[K');
  }

  stop(): void {
    clearInterval(this.#timer);
    this.clear();
  }
}
