/**
 * File identifiers and the other branded ids.
 *
 * A FID is (sequence, object id, version), never used twice. In memory and in message bodies it is one
 * safe integer, sequence * 2^20 + object (version 0), which is also the inode number that users see;
 * the root directory is FID 1 (sequence 0, object 1).
 */
import { FID_OBJECT_BITS } from './generated.js';

export type Fid = number & { readonly __brand: 'Fid' };
export type NodeId = number & { readonly __brand: 'NodeId' };
export type TargetId = number & { readonly __brand: 'TargetId' };
export type GroupId = number & { readonly __brand: 'GroupId' };

const OBJECTS_PER_SEQUENCE = 2 ** FID_OBJECT_BITS;

/** Object ids of a sequence run from 1 to this, inclusive. */
export const FID_OBJECT_MAX = OBJECTS_PER_SEQUENCE - 1;
/** Sequences run from 1 (0 holds the root) to this, inclusive. */
export const FID_SEQUENCE_MAX = 2 ** (53 - FID_OBJECT_BITS) - 1;

export const ROOT_FID = 1 as Fid;

export function makeFid(sequence: number, object: number): Fid {
  return (sequence * OBJECTS_PER_SEQUENCE + object) as Fid;
}

export function fidSequence(fid: Fid): number {
  return Math.floor(fid / OBJECTS_PER_SEQUENCE);
}

export function fidObject(fid: Fid): number {
  return fid % OBJECTS_PER_SEQUENCE;
}

/** The form people read, as Lustre writes it: `[0x401:0x2a:0x0]`. */
export function formatFid(fid: Fid): string {
  return `[0x${fidSequence(fid).toString(16)}:0x${fidObject(fid).toString(16)}:0x0]`;
}
