/** Where the copy of each source goes: the rules of cp(1). Pure. */
import { posix } from 'node:path';
import { usageError } from '../exit-codes.js';

/** @param directory the destination exists and is a directory */
export function destinationOf(source: string, destination: string, directory: boolean, sources: number): string {
  if (sources > 1 && !directory) throw usageError(`'${destination}' is not a directory: several sources need one to be copied into`);
  if (!directory) return destination;
  const name = posix.basename(source);
  // `ibex:/` and `folder/.` stand for what is in them.
  return name === '' || name === '.' || name === '..' ? destination : posix.join(destination, name);
}

/** Whether copying `source` to `destination`, on one side, would never end. */
export function isInside(source: string, destination: string): boolean {
  const from = posix.normalize(source).replace(/\/$/, '');
  const to = posix.normalize(destination).replace(/\/$/, '');
  return to === from || to.startsWith(`${from}/`);
}
