/** How large a cluster may get: its map travels in one message, to everybody. */
import type { ClusterMap } from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';
import { RPC_BODY_BYTES_MAX } from '../wire/generated.js';

/**
 * An eighth of a message stays for what grows without being asked for: states and figures with more characters,
 * ranges of sequences. A map of 3,000 targets on 500 nodes takes about three quarters of a message.
 */
export const MAP_BYTES_MAX = RPC_BODY_BYTES_MAX - RPC_BODY_BYTES_MAX / 8;

export function mapBytes(map: ClusterMap): number {
  return Buffer.byteLength(JSON.stringify(map));
}

/**
 * Asked before a node or target is added: refusing one keeps the map of all others going.
 *
 * @throws IbexError ERR_NO_SPACE
 */
export function requireMapFits(map: ClusterMap): void {
  const bytes = mapBytes(map);
  if (bytes <= MAP_BYTES_MAX) return;
  throw new IbexError(
    'ERR_NO_SPACE',
    `the cluster map would have ${bytes} bytes with ${map.nodes.length} nodes and ${map.targets.length} targets, ${MAP_BYTES_MAX} are possible; give targets shorter aliases or make fewer, larger ones`,
  );
}
