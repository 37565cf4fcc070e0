/**
 * One daemon as a child process: started, watched, started again with growing pauses, stopped in bounded time.
 * The child has its own session, so that Ctrl-C in the terminal reaches only the parent, which stops the
 * children in order; the channel between them tells the parent that the child is ready, and the child (by
 * --exit-with-parent) that the parent is gone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, renameSync, statSync } from 'node:fs';
import { afterExit, freshState, type RestartState } from './restart-policy.js';

export type ServiceState =
  | { readonly name: 'idle' }
  | { readonly name: 'starting'; readonly pid: number }
  | { readonly name: 'running'; readonly pid: number; readonly detail: string }
  | { readonly name: 'waiting'; readonly reason: string; readonly pauseMs: number }
  | { readonly name: 'stopping'; readonly pid: number }
  | { readonly name: 'stopped' }
  | { readonly name: 'failed'; readonly reason: string };

export interface ServiceOptions {
  readonly name: string;
  /** Arguments of the `ibex` command. */
  readonly args: readonly string[];
  /** The program to run with Node: bin/ibex.mjs. */
  readonly program: string;
  readonly logFile: string;
  /** Runs before every start: clears away what the last process left. */
  prepare?(): Promise<void>;
  onChange(state: ServiceState): void;
}

const LOG_BYTES_MAX = 16 * 2 ** 20;
/** Longer than a daemon gives itself to stop. */
const STOP_MS_MAX = 20_000;

/** The log goes on where it ended; a long one is put aside first. */
function openLog(file: string): number {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_BYTES_MAX) renameSync(file, `${file}.old`);
  return openSync(file, 'a', 0o640);
}

export class Service {
  readonly name: string;
  readonly #options: ServiceOptions;
  #restart: RestartState = freshState;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopWanted = false;
  #state: ServiceState = { name: 'idle' };
  readonly #firstReady: Promise<void>;
  #becameReady!: () => void;
  #neverReady!: (error: Error) => void;
  #exited: Promise<void> = Promise.resolve();

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.name = options.name;
    this.#firstReady = new Promise((resolve, reject) => {
      this.#becameReady = resolve;
      this.#neverReady = reject;
    });
    this.#firstReady.catch(() => {});
  }

  get state(): ServiceState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when it served for the first time; rejects when it could not be brought up. */
  start(): Promise<void> {
    void this.#launch();
    return this.#firstReady;
  }

  #enter(state: ServiceState): void {
    this.#state = state;
    this.#options.onChange(state);
  }

  async #launch(): Promise<void> {
    try {
      await this.#options.prepare?.();
    } catch (error) {
      this.#ended((error as Error).message, false, 0);
      return;
    }
    if (!this.#stopWanted) this.#spawn();
  }

  #spawn(): void {
    const { program, args, logFile } = this.#options;
    const log = openLog(logFile);
    const child = spawn(process.execPath, [program, ...args, '--exit-with-parent'], { detached: true, stdio: ['ignore', log, log, 'ipc'] });
    closeSync(log);
    this.#child = child;
    const startedMs = performance.now();
    let ready = false;
    child.on('message', (message: { ready?: unknown } | null) => {
      if (typeof message?.ready !== 'string' || this.#stopWanted) return;
      ready = true;
      this.#becameReady();
      this.#enter({ name: 'running', pid: child.pid as number, detail: message.ready });
    });
    this.#exited = new Promise((resolve) => {
      const ended = (reason: string): void => {
        if (this.#child !== child) return;
        this.#child = undefined;
        this.#ended(reason, ready, performance.now() - startedMs);
        resolve();
      };
      child.once('error', (error) => ended(error.message));
      child.once('exit', (code, signal) => ended(signal === null ? `ended with exit code ${code}` : `ended by ${signal}`));
    });
    if (child.pid !== undefined) this.#enter({ name: 'starting', pid: child.pid });
  }

  #ended(reason: string, ready: boolean, ranMs: number): void {
    if (this.#stopWanted) {
      this.#neverReady(new Error(`${this.name} was stopped before it was ready`));
      this.#enter({ name: 'stopped' });
      return;
    }
    const { state, pauseMs } = afterExit(this.#restart, { ready, ranMs });
    this.#restart = state;
    if (pauseMs === undefined) {
      this.#enter({ name: 'failed', reason });
      this.#neverReady(new Error(`${this.name} ${reason}`));
      return;
    }
    this.#enter({ name: 'waiting', reason, pauseMs });
    this.#timer = setTimeout(() => void this.#launch(), pauseMs);
  }

  /** Asks it to stop, and ends it when it does not. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopWanted = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === undefined) {
      if (this.#state.name !== 'failed') this.#enter({ name: 'stopped' });
      return;
    }
    this.#enter({ name: 'stopping', pid: child.pid as number });
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Ends it at once. */
  kill(): void {
    this.#stopWanted = true;
    clearTimeout(this.#timer);
    this.#child?.kill('SIGKILL');
  }
}
