/** How large a cluster may get: everybody keeps its map in memory. Several times what the design asks for. */
import type { ClusterMap } from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';

export const NODES_MAX = 65_536;
export const TARGETS_MAX = 65_536;

/**
 * Asked before a node or target is added: refusing one keeps the map of all others going.
 *
 * @throws IbexError ERR_NO_SPACE
 */
export function requireRoom({ nodes, targets }: ClusterMap): void {
  if (nodes.length > NODES_MAX) throw new IbexError('ERR_NO_SPACE', `the cluster has ${NODES_MAX} nodes, more are not possible`);
  if (targets.length > TARGETS_MAX)
    throw new IbexError('ERR_NO_SPACE', `the cluster has ${TARGETS_MAX} targets, more are not possible; make fewer, larger ones`);
}
