/** What every command gets: the global options, where its output goes, and a signal that Ctrl-C raises. */
import { setMaxListeners } from 'node:events';
import type { Command } from 'commander';
import { Printer } from './output/printer.js';

export interface GlobalOptions {
  readonly output: 'table' | 'json';
  readonly config?: string;
  readonly mgmtd?: string;
  readonly keyFile?: string;
}

export interface Context {
  readonly globals: GlobalOptions;
  readonly out: Printer;
  /** Aborted by the first Ctrl-C; the second ends the process. */
  readonly signal: AbortSignal;
}

type Operand = string | string[] | undefined;
type Body<Options> = (context: Context, options: Options, ...operands: never[]) => Promise<number | undefined> | Promise<void>;

/** Wraps a command's body for commander. What the body resolves with is the exit code. */
export function action<Options extends object>(body: Body<Options>): (...parameters: unknown[]) => Promise<void> {
  return async (...parameters) => {
    const command = parameters.at(-1) as Command;
    const globals = command.optsWithGlobals() as GlobalOptions;
    const interrupt = new AbortController();
    // Every request in flight listens to it.
    setMaxListeners(0, interrupt.signal);
    const onInterrupt = (): void => {
      if (interrupt.signal.aborted) process.exit(130);
      interrupt.abort(new DOMException('interrupted', 'AbortError'));
    };
    const context: Context = {
      globals,
      out: new Printer(globals.output),
      get signal() {
        // A command that never asks for the signal is ended by Ctrl-C at once, as usual.
        if (process.listenerCount('SIGINT', onInterrupt) === 0) process.on('SIGINT', onInterrupt);
        return interrupt.signal;
      },
    };
    try {
      const code = await body(context, command.opts() as Options, ...(parameters.slice(0, -2) as Operand[] as never[]));
      if (typeof code === 'number') process.exitCode = code;
    } finally {
      process.off('SIGINT', onInterrupt);
    }
  };
}

/** Examples below the help of a command: [command line, what it does]. */
export function examples(command: Command, lines: readonly (readonly [string, string])[]): void {
  const width = Math.max(...lines.map(([line]) => line.length));
  const text = lines.map(([line, what]) => `  ${line.padEnd(width)}  # ${what}`.trimEnd());
  command.addHelpText('after', `\nExamples:\n${text.join('\n')}`);
}
