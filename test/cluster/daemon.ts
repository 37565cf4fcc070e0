/** One real process of a test cluster: started, watched, killed by pid, never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../../bin/ibex.mjs', import.meta.url));

/** Processes that still run; ended when the test process ends, however it ends. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Daemon {
  readonly name: string;
  readonly logFile: string;
  readonly #arguments: readonly string[];
  readonly #environment: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;

  constructor(name: string, logFile: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    this.name = name;
    this.logFile = logFile;
    this.#arguments = args;
    this.#environment = environment;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  start(): void {
    if (this.running) throw new Error(`${this.name} runs already`);
    const log = openSync(this.logFile, 'a');
    // The channel closes with this process, however it ends, and --exit-with-parent ends the daemon with the channel.
    this.#child = spawn(
      process.execPath,
      [...process.execArgv.filter((arg) => arg.startsWith('--enable-source-maps')), program, ...this.#arguments, '--exit-with-parent'],
      {
        stdio: ['ignore', log, log, 'ipc'],
        env: { ...process.env, ...this.#environment, NODE_V8_COVERAGE: '', NODE_OPTIONS: '' },
      },
    );
    closeSync(log);
    const child = this.#child;
    child.channel?.unref();
    running.add(child);
    child.once('exit', () => running.delete(child));
  }

  /** Sends a signal and does not wait. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Kills without warning and waits for the end. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL', 10_000);
  }

  /** Asks to stop; returns the exit code, or the signal that it took. */
  async stop(timeoutMs = 20_000): Promise<number | string> {
    return this.#end('SIGTERM', timeoutMs);
  }

  async #end(signal: NodeJS.Signals, timeoutMs: number): Promise<number | string> {
    const child = this.#child;
    if (child === undefined) return 0;
    if (this.running) {
      const ended = once(child, 'exit');
      child.kill('SIGCONT');
      child.kill(signal);
      const late = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
      await ended;
      clearTimeout(late);
    }
    return child.exitCode ?? child.signalCode ?? 0;
  }

  log(): string {
    try {
      return readFileSync(this.logFile, 'utf8');
    } catch {
      return '';
    }
  }
}
