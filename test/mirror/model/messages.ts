/** What the processes of the model say to one another. */

import type { Beat } from '../../../src/mirror/member.js';
import type { GroupRecord, TargetProcess } from '../../../src/wire/cluster-map.js';
import type { Slot } from './disk.js';

/** A link is a primary's connection with its secondary from one resync to the next exclusion. */
export type LinkName = string;

/** When mgmtd said something, by its own clock, and which of its processes. */
export interface Stamp {
  readonly mgmtd: string;
  readonly at: number;
}

export type Message =
  /** From mgmtd: the cluster map. */
  | { readonly type: 'map'; readonly record: GroupRecord; readonly answers: Stamp }
  /** From mgmtd: it does not know the process. */
  | { readonly type: 'register-first' }
  | ({ readonly type: 'register'; readonly intact: boolean } & TargetProcess)
  | ({
      readonly type: 'heartbeat';
      readonly epoch: number;
      readonly hearsPartner: boolean;
      readonly follows: Stamp | undefined;
    } & TargetProcess)
  | ({ readonly type: 'secondary-failed'; readonly epoch: number } & TargetProcess)
  | ({ readonly type: 'resync-finished'; readonly epoch: number; readonly secondaryStart: number } & TargetProcess)
  | { readonly type: 'ask-map' }
  /** Between the members; `to`: the process that it is meant for, if one is known. */
  | { readonly type: 'beat'; readonly beat: Beat; readonly to: string | undefined }
  | {
      readonly type: 'forward';
      readonly epoch: number;
      readonly link: LinkName;
      readonly number: number;
      readonly register: number;
      readonly value: number;
      readonly client: string;
      readonly sequence: number;
      /** Every write up to this number is on both copies. */
      readonly committed: number;
    }
  | { readonly type: 'forwarded'; readonly link: LinkName; readonly number: number }
  | { readonly type: 'begin-resync'; readonly epoch: number; readonly link: LinkName; readonly slots: ReadonlyMap<string, Slot> }
  | { readonly type: 'resync-begun'; readonly link: LinkName; readonly marks: readonly number[] }
  | { readonly type: 'copy'; readonly epoch: number; readonly link: LinkName; readonly register: number; readonly value: number }
  | { readonly type: 'copied'; readonly link: LinkName; readonly register: number }
  | { readonly type: 'clear-mark'; readonly epoch: number; readonly link: LinkName; readonly register: number }
  | { readonly type: 'mark-cleared'; readonly link: LinkName; readonly register: number }
  | { readonly type: 'refused'; readonly link: LinkName; readonly epoch: number }
  /** Between clients and members. */
  | {
      readonly type: 'write';
      readonly attempt: number;
      readonly epoch: number;
      readonly register: number;
      readonly value: number;
      readonly sequence: number;
    }
  | { readonly type: 'read'; readonly attempt: number; readonly epoch: number; readonly register: number }
  /** value: of a read. error: the client has to look at the map, or at the primary, and try again. */
  | { readonly type: 'answer'; readonly attempt: number; readonly value?: number; readonly error?: 'stale' | 'ask-primary' };
