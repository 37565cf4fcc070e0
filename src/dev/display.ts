/**
 * Shows the state of every daemon: on a terminal a few lines that are rewritten when something changes,
 * elsewhere a line for each change. It has no timer: a cluster at rest costs nothing.
 */

import pc from 'picocolors';
import { terminalColumns } from '../cli/output/terminal.js';
import { fitText } from '../cli/output/text.js';
import type { ServiceState } from './service.js';

const seconds = (milliseconds: number): string => `${Math.round(milliseconds / 100) / 10} s`;

/** What is said of a state, without colour. Pure. */
export function describeState(state: ServiceState): string {
  switch (state.name) {
    case 'idle':
      return 'waits for others';
    case 'starting':
      return `starting (process ${state.pid})`;
    case 'running':
      return `running (process ${state.pid})${state.detail === '' ? '' : `: ${state.detail}`}`;
    case 'waiting':
      return `${state.reason}; starts again in ${seconds(state.pauseMs)}`;
    case 'stopping':
      return `stopping (process ${state.pid})`;
    case 'stopped':
      return 'stopped';
    case 'failed':
      return `failed: ${state.reason}`;
  }
}

function paint(state: ServiceState, text: string): string {
  if (state.name === 'running') return pc.green(text);
  if (state.name === 'waiting' || state.name === 'failed') return pc.red(text);
  return pc.dim(text);
}

export class Display {
  readonly #live: boolean;
  readonly #states = new Map<string, ServiceState>();
  #drawn = 0;

  constructor() {
    this.#live = process.stdout.isTTY === true;
  }

  set(name: string, state: ServiceState): void {
    this.#states.set(name, state);
    if (this.#live) this.#draw();
    else if (state.name !== 'idle') process.stdout.write(`${name}: ${describeState(state)}\n`);
  }

  /** Text that stays, above the states. */
  say(text: string): void {
    this.#erase();
    process.stdout.write(`${text}\n`);
    if (this.#live) this.#draw();
  }

  #erase(): void {
    if (this.#drawn > 0) process.stdout.write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }

  #draw(): void {
    this.#erase();
    const width = Math.max(...[...this.#states.keys()].map((name) => name.length));
    const columns = terminalColumns(process.stdout, 80) - 1;
    for (const [name, state] of this.#states) {
      const mark = state.name === 'running' ? '●' : '○';
      const text = fitText(`${name.padEnd(width)}  ${describeState(state)}`, columns - 2);
      process.stdout.write(`${paint(state, mark)} ${text}\n`);
    }
    this.#drawn = this.#states.size;
  }
}
