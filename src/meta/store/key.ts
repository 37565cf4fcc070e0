/**
 * Keys of the store: byte strings held as JavaScript strings with one character (0 to 255) a byte. They
 * hash and compare natively, and their order is the order of the bytes, as in LMDB.
 */
export type Key = string;

/** The least key greater than every key that starts with `prefix`; undefined when there is none. */
export function endOfPrefix(prefix: Key): Key | undefined {
  let last = prefix.length - 1;
  while (last >= 0 && prefix.charCodeAt(last) === 0xff) last--;
  if (last < 0) return undefined;
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}

/** Index of the first key of a sorted list that is not less than `key`. */
export function lowerBound(keys: readonly Key[], key: Key): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
