/** Under which addresses others reach what this process listens on. */
import { networkInterfaces } from 'node:os';
import type { Address } from '../wire/cluster-map.js';

const ADDRESSES_MAX = 16;

/** `configured` as it is; else the address listened on; else, listening on every network, one of each interface. */
export function advertisedAddresses(
  listening: Address,
  configured: readonly Address[],
  interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces(),
): Address[] {
  if (configured.length > 0) return [...configured];
  const everyVersion = listening.host === '::';
  if (!everyVersion && listening.host !== '0.0.0.0') return [listening];
  const usable = Object.values(interfaces)
    .flatMap((entries) => entries ?? [])
    .filter((entry) => !entry.internal && (entry.family === 'IPv4' || (everyVersion && !entry.address.startsWith('fe80'))));
  const found = usable.map((entry) => ({ host: entry.address, port: listening.port })).slice(0, ADDRESSES_MAX);
  return found.length > 0 ? found : [{ host: '127.0.0.1', port: listening.port }];
}
