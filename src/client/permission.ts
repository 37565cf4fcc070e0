/** Whether mode bits let somebody in, as the kernel decides it without access control lists. */
import { constants } from 'node:fs';
import type { Attributes } from '../wire/messages.js';

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

const { R_OK, W_OK, X_OK, S_IFMT, S_IFDIR } = constants;

/** `wanted`: bits of R_OK, W_OK and X_OK. */
export function permits(attributes: Pick<Attributes, 'mode' | 'uid' | 'gid'>, who: Identity, wanted: number): boolean {
  const { mode } = attributes;
  if (who.uid === 0) {
    const executable = (mode & 0o111) !== 0 || (mode & S_IFMT) === S_IFDIR;
    return (wanted & X_OK) === 0 || executable;
  }
  let shift = 0;
  if (attributes.uid === who.uid) shift = 6;
  else if (attributes.gid === who.gid || who.groups.includes(attributes.gid)) shift = 3;
  const granted = (mode >> shift) & 7;
  return (wanted & (R_OK | W_OK | X_OK) & ~granted) === 0;
}
