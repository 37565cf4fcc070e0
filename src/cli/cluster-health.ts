/** What is wrong with a cluster, from its map. Pure. */
import { type ClusterMap, entryOf, type GroupRecord } from '../wire/cluster-map.js';

export interface ClusterHealth {
  readonly nodesOnline: number;
  readonly targetsOnline: number;
  /** Mirror groups with two good copies, both within reach. */
  readonly groupsWhole: number;
  /** One sentence each; empty when all is well. */
  readonly problems: readonly string[];
}

const FULL_PART = 0.95;

export function clusterHealth(map: ClusterMap): ClusterHealth {
  const problems: string[] = [];
  if (map.rootTarget === undefined) problems.push('no metadata target has registered yet: start ibex meta');
  if (!map.targets.some((target) => target.kind === 'storage')) problems.push('no storage target has registered yet: start ibex storage');
  for (const node of map.nodes)
    if (node.reachability !== 'online') problems.push(`${node.kind} node ${node.alias} is ${node.reachability}`);
  for (const target of map.targets) {
    const node = entryOf(map.nodes, target.node);
    // Targets of a node that is away are away with it; saying both helps nobody.
    if (target.reachability !== 'online' && node?.reachability === 'online')
      problems.push(`${target.kind} target ${target.alias} is ${target.reachability}`);
    if (target.consistency !== 'good') problems.push(`${target.kind} target ${target.alias}: data is ${target.consistency}`);
    if (target.bytesTotal > 0 && target.bytesFree < target.bytesTotal * (1 - FULL_PART)) {
      problems.push(`${target.kind} target ${target.alias} is nearly full`);
    }
  }
  const isWhole = ({ primary, secondary }: GroupRecord): boolean =>
    [primary, secondary].every(
      ({ target, consistency }) => consistency === 'good' && entryOf(map.targets, target)?.reachability === 'online',
    );
  for (const { alias, secondary } of map.groups)
    if (secondary.consistency !== 'good')
      problems.push(`mirror group ${alias} has one good copy: the secondary is ${secondary.consistency}`);
  return {
    groupsWhole: map.groups.filter(isWhole).length,
    nodesOnline: map.nodes.filter((node) => node.reachability === 'online').length,
    targetsOnline: map.targets.filter((target) => target.reachability === 'online').length,
    problems,
  };
}
