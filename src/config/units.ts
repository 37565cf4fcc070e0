/**
 * Sizes, durations and addresses as people write them: "64 MiB", "1.5 s", "host:port".
 * Each parser returns undefined for anything it does not know; saying what was expected is the caller's part.
 */
import type { Address } from '../wire/cluster-map.js';

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  k: 2 ** 10,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

const durationUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000 };

function quantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)\s*$/.exec(text);
  if (match === null) return undefined;
  const unit = match[2] ?? '';
  if (!Object.hasOwn(units, unit)) return undefined;
  const value = Number(match[1]) * (units[unit] ?? Number.NaN);
  return Number.isSafeInteger(Math.round(value)) ? Math.round(value) : undefined;
}

/** "64 MiB", "1.5GB", "4096" -> bytes. KiB and K are 1024, kB is 1000. */
export function parseSize(text: string): number | undefined {
  return quantity(text, sizeUnits);
}

/** "10 s", "250ms", "2 min" -> milliseconds. A bare number is refused: nobody can tell its unit. */
export function parseDuration(text: string): number | undefined {
  return quantity(text, durationUnitsMs);
}

/** "host:port" or "[v6]:port". Port 0 is refused: nobody can connect to it. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})$/.exec(text.trim());
  if (match === null) return undefined;
  const host = match[1] ?? match[2];
  const port = Number(match[3]);
  if (host === undefined || port < 1 || port > 65535) return undefined;
  return { host, port };
}

export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
