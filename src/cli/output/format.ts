/** Figures as people read them. Pure. */
import { constants } from 'node:fs';

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** 1536 -> '1.5 KiB'; always three digits at most before the unit. */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let value = bytes;
  // 1023.5 KiB would be printed as 1024 KiB.
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${byteUnits[unit]}`;
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(Number.isFinite(bytesPerSecond) ? bytesPerSecond : 0)}/s`;
}

export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** 0.5 -> '0.5 s', 90 -> '1 min 30 s', 100000 -> '1 d 3 h'. */
export function formatDuration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const parts: readonly [number, string][] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  const first = parts.findIndex(([size]) => whole >= size);
  const [size, name] = parts[first] as [number, string];
  const rest = parts[first + 1];
  const more = rest === undefined ? 0 : Math.floor((whole % size) / rest[0]);
  return `${Math.floor(whole / size)} ${name}${more > 0 && rest !== undefined ? ` ${more} ${rest[1]}` : ''}`;
}

export function formatPercent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${Math.round((part / whole) * 100)}%`;
}

const typeLetters: readonly [number, string][] = [
  [constants.S_IFDIR, 'd'],
  [constants.S_IFLNK, 'l'],
  [constants.S_IFREG, '-'],
  [constants.S_IFIFO, 'p'],
  [constants.S_IFSOCK, 's'],
  [constants.S_IFCHR, 'c'],
  [constants.S_IFBLK, 'b'],
];

/** 0o100644 -> '-rw-r--r--', as ls has it. */
export function formatMode(mode: number): string {
  const type = typeLetters.find(([bits]) => (mode & constants.S_IFMT) === bits)?.[1] ?? '?';
  const triple = (shift: number, special: number, letter: string): string => {
    const bits = (mode >> shift) & 7;
    const execute = (bits & 1) !== 0;
    const last = (mode & special) === 0 ? (execute ? 'x' : '-') : execute ? letter : letter.toUpperCase();
    return `${(bits & 4) === 0 ? '-' : 'r'}${(bits & 2) === 0 ? '-' : 'w'}${last}`;
  };
  return `${type}${triple(6, 0o4000, 's')}${triple(3, 0o2000, 's')}${triple(0, 0o1000, 't')}`;
}

/** '2026-11-23 21:39', local time. */
export function formatTime(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}`;
}
