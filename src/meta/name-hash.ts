/**
 * The order of names in a directory: HalfSipHash-1-3 with 64-bit output of the name's UTF-8 bytes, cut to its
 * upper 52 bits. Keyed with 8 random bytes made with the target, so that nobody can prepare names that collide.
 * Part of the on-disk format.
 *
 * Reference: https://github.com/veorq/SipHash (halfsiphash.c), with 1 compression and 3 finalization rounds.
 */
import type { Key } from './store/key.js';

export interface NameHashKey {
  readonly k0: number;
  readonly k1: number;
}

let v0 = 0;
let v1 = 0;
let v2 = 0;
let v3 = 0;

function round(): void {
  v0 = (v0 + v1) | 0;
  v1 = (v1 << 5) | (v1 >>> 27);
  v1 ^= v0;
  v0 = (v0 << 16) | (v0 >>> 16);
  v2 = (v2 + v3) | 0;
  v3 = (v3 << 8) | (v3 >>> 24);
  v3 ^= v2;
  v0 = (v0 + v3) | 0;
  v3 = (v3 << 7) | (v3 >>> 25);
  v3 ^= v0;
  v2 = (v2 + v1) | 0;
  v1 = (v1 << 13) | (v1 >>> 19);
  v1 ^= v2;
  v2 = (v2 << 16) | (v2 >>> 16);
}

function rounds(count: number): void {
  for (let index = 0; index < count; index++) round();
}

/** HalfSipHash with 64-bit output of a byte string, as [first, second] 32-bit word. Directories use 1 and 3 rounds. */
export function halfSipHash(bytes: Key, key: NameHashKey, compressionRounds = 1, finalRounds = 3): [number, number] {
  v0 = key.k0;
  v1 = key.k1 ^ 0xee;
  v2 = 0x6c796765 ^ key.k0;
  v3 = 0x74656462 ^ key.k1;
  const whole = bytes.length & ~3;
  for (let at = 0; at < whole; at += 4) {
    const word =
      bytes.charCodeAt(at) | (bytes.charCodeAt(at + 1) << 8) | (bytes.charCodeAt(at + 2) << 16) | (bytes.charCodeAt(at + 3) << 24);
    v3 ^= word;
    rounds(compressionRounds);
    v0 ^= word;
  }
  let last = (bytes.length & 0xff) << 24;
  for (let at = whole; at < bytes.length; at++) last |= bytes.charCodeAt(at) << (8 * (at - whole));
  v3 ^= last;
  rounds(compressionRounds);
  v0 ^= last;
  v2 ^= 0xee;
  rounds(finalRounds);
  const first = v1 ^ v3;
  v1 ^= 0xdd;
  rounds(finalRounds);
  return [first >>> 0, (v1 ^ v3) >>> 0];
}

/** 0 to 2^52 - 1. */
export function nameHash(name: Key, key: NameHashKey): number {
  const [first, second] = halfSipHash(name, key);
  return first * 0x10_0000 + (second >>> 12);
}
