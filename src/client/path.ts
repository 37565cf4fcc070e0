/** Taking paths apart; no server is asked here. */

import { IbexError } from '../wire/errors.js';
import { NAME_BYTES_MAX } from '../wire/generated.js';

/** As PATH_MAX of Linux. */
const PATH_BYTES_MAX = 4096;
/** A UTF-16 unit takes at most 3 bytes of UTF-8: shorter names need no counting. */
const NAME_UNITS_SURELY_SHORT = Math.floor(NAME_BYTES_MAX / 3);

export interface PathParts {
  /** Without empty ones and '.'; '..' is kept, since what it means depends on symbolic links. */
  readonly names: readonly string[];
  /** The path ended in '/' or '/.': what it names must be a directory, and a link there is followed. */
  readonly directory: boolean;
  /** The last component as it was written: '', '.' and '..' are errors for most changes. */
  readonly last: string;
}

/** Throws ERR_NAME_TOO_LONG for a name that no directory can hold. */
export function checkName(name: string): void {
  if (name.length > NAME_UNITS_SURELY_SHORT && Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw new IbexError('ERR_NAME_TOO_LONG', `a name has at most ${NAME_BYTES_MAX} bytes in UTF-8`);
  }
}

/** Whether `name` can be looked up as it is: no '', '.', '..', no NUL, not too long. */
export function isPlainName(name: string): boolean {
  const { length } = name;
  if (length === 0 || length > NAME_UNITS_SURELY_SHORT) return false;
  if (name.charCodeAt(0) === 46 && (length === 1 || (length === 2 && name.charCodeAt(1) === 46))) return false;
  return !name.includes('\0');
}

export function splitPath(path: string): PathParts {
  if (typeof path !== 'string') throw new IbexError('ERR_INVALID', `a path is a string, not ${typeof path}`);
  if (path === '') throw new IbexError('ERR_NOT_FOUND', 'the path is empty');
  if (path.includes('\0')) throw new IbexError('ERR_INVALID', 'the path contains a zero byte');
  if (path.length > PATH_BYTES_MAX / 3 && Buffer.byteLength(path) >= PATH_BYTES_MAX) {
    throw new IbexError('ERR_NAME_TOO_LONG', `a path has at most ${PATH_BYTES_MAX - 1} bytes in UTF-8`);
  }
  const written = path.split('/');
  const names = written.filter((name) => name !== '' && name !== '.');
  for (const name of names) checkName(name);
  const final = written[written.length - 1] as string;
  const directory = final === '' || final === '.' || final === '..';
  return { names, directory, last: final === '' ? (names[names.length - 1] ?? '') : final };
}

/** `name` below `directory`, without doubling the slash. */
export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}

/** The part of a path before its last slash; '' for the root. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '' : path.slice(0, slash);
}
