/** Times as utimes takes them: seconds since 1970 (number or numeric string) or a Date. */
import { IbexError } from '../wire/errors.js';

export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export function toTimestamp(time: number | string | Date): Timestamp {
  if (time instanceof Date) {
    const ms = time.getTime();
    if (!Number.isFinite(ms)) throw new IbexError('ERR_INVALID', 'the Date is invalid');
    const seconds = Math.floor(ms / 1000);
    return { seconds, nanoseconds: (ms - seconds * 1000) * 1e6 };
  }
  const value = typeof time === 'string' && time.trim() !== '' ? Number(time) : time;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new IbexError('ERR_INVALID', `'${String(time)}' is no time`);
  const seconds = Math.floor(value);
  // A double near today's date holds about 0.2 µs: the rest is noise, but never a whole second.
  return { seconds, nanoseconds: Math.min(999_999_999, Math.round((value - seconds) * 1e9)) };
}
