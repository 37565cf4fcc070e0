/**
 * What libraries print (lmdb prints every commit that fails) becomes lines of the daemon's log. It repeats what the
 * daemon reports itself, so a line in a while is enough.
 */
import { format } from 'node:util';
import type { Logger } from 'pino';
import { Warnings } from '../net/warnings.js';

const LIMITS = { most: 1, perMs: 60_000 };

/** Returns how to give the console back. */
export function logConsole(logger: Logger): () => void {
  const { error, warn } = console;
  const warnings = new Warnings(logger, LIMITS);
  const log = (...printed: unknown[]): void => {
    const err = printed.find((value) => value instanceof Error);
    const text = err === undefined ? format(...printed) : err.message;
    warnings.warn(err === undefined ? {} : { err }, `a library says: ${text}`);
  };
  console.error = log;
  console.warn = log;
  return () => {
    console.error = error;
    console.warn = warn;
    warnings.close();
  };
}
