/** What an open asks for, from node's flag strings or O_* bits. */
import { constants } from 'node:fs';
import { IbexError } from '../wire/errors.js';
import type { OpenFlags } from './types.js';

export interface OpenIntent {
  readonly read: boolean;
  readonly write: boolean;
  readonly append: boolean;
  readonly create: boolean;
  /** With create: the file must not exist yet. */
  readonly exclusive: boolean;
  readonly truncate: boolean;
  /** Every write is on disk before it is answered. */
  readonly sync: boolean;
  readonly directory: boolean;
  readonly noFollow: boolean;
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE } = { ...constants, O_ACCMODE: 3 };
const { O_APPEND, O_CREAT, O_EXCL, O_TRUNC, O_SYNC, O_DSYNC, O_DIRECTORY, O_NOFOLLOW } = constants;

/** The bits that each flag string of node:fs stands for. */
const named: Readonly<Record<string, number>> = {
  r: O_RDONLY,
  rs: O_RDONLY | O_SYNC,
  'r+': O_RDWR,
  'rs+': O_RDWR | O_SYNC,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_TRUNC | O_EXCL,
  'w+': O_RDWR | O_CREAT | O_TRUNC,
  'wx+': O_RDWR | O_CREAT | O_TRUNC | O_EXCL,
  a: O_WRONLY | O_CREAT | O_APPEND,
  ax: O_WRONLY | O_CREAT | O_APPEND | O_EXCL,
  as: O_WRONLY | O_CREAT | O_APPEND | O_SYNC,
  'a+': O_RDWR | O_CREAT | O_APPEND,
  'ax+': O_RDWR | O_CREAT | O_APPEND | O_EXCL,
  'as+': O_RDWR | O_CREAT | O_APPEND | O_SYNC,
};
// node also takes the letters of a pair the other way round.
const swapped: Readonly<Record<string, string>> = {
  sr: 'rs',
  'sr+': 'rs+',
  xw: 'wx',
  'xw+': 'wx+',
  xa: 'ax',
  'xa+': 'ax+',
  sa: 'as',
  'sa+': 'as+',
};

const intents = new Map<number, OpenIntent>();

export function parseFlags(flags: OpenFlags): OpenIntent {
  let bits: number | undefined;
  if (typeof flags === 'number') bits = flags;
  else if (Object.hasOwn(named, flags)) bits = named[flags];
  else if (Object.hasOwn(swapped, flags)) bits = named[swapped[flags] as string];
  if (bits === undefined || !Number.isInteger(bits) || bits < 0 || (bits & O_ACCMODE) === 3) {
    throw new IbexError('ERR_INVALID', `open flags '${flags}' are none of ${Object.keys(named).join(', ')} and no O_* bits`);
  }
  const known = intents.get(bits);
  if (known !== undefined) return known;
  const access = bits & O_ACCMODE;
  const intent: OpenIntent = {
    read: access !== O_WRONLY,
    write: access !== O_RDONLY,
    append: (bits & O_APPEND) !== 0,
    create: (bits & O_CREAT) !== 0,
    exclusive: (bits & O_CREAT) !== 0 && (bits & O_EXCL) !== 0,
    truncate: (bits & O_TRUNC) !== 0 && access !== O_RDONLY,
    sync: (bits & (O_SYNC | O_DSYNC)) !== 0,
    directory: (bits & O_DIRECTORY) !== 0,
    noFollow: (bits & O_NOFOLLOW) !== 0,
  };
  // Programs use a handful of combinations; a foolish one must not fill memory.
  if (intents.size < 256) intents.set(bits, intent);
  return intent;
}
