/** `ibex target list`: where metadata and file data are kept. */

import { type Command, Option } from 'commander';
import { everyUsage } from '../../client/management-lists.js';
import { type ClusterMap, entryOf, type TargetEntry } from '../../wire/cluster-map.js';
import { withCluster } from '../connections.js';
import { action, examples } from '../context.js';
import { formatBytes, formatPercent } from '../output/format.js';
import { paintConsistency, paintReachability } from '../output/state.js';
import type { Column } from '../output/table.js';

function columns(map: ClusterMap): readonly Column<TargetEntry>[] {
  const used = (target: TargetEntry): number => target.bytesTotal - target.bytesFree;
  return [
    { title: 'ID', align: 'right', value: (target) => String(target.id) },
    { title: 'NAME', value: (target) => target.alias },
    { title: 'KIND', value: (target) => target.kind },
    { title: 'NODE', value: (target) => entryOf(map.nodes, target.node)?.alias ?? String(target.node) },
    { title: 'POOL', value: (target) => target.pool },
    { title: 'STATE', value: (target) => target.reachability, paint: (cell, target) => paintReachability(cell, target.reachability) },
    { title: 'DATA', value: (target) => target.consistency, paint: (cell, target) => paintConsistency(cell, target.consistency) },
    { title: 'TOTAL', align: 'right', value: (target) => formatBytes(target.bytesTotal) },
    { title: 'FREE', align: 'right', value: (target) => formatBytes(target.bytesFree) },
    { title: 'USED', align: 'right', value: (target) => formatPercent(used(target), target.bytesTotal) },
  ];
}

export function define(command: Command): void {
  command.addOption(new Option('--kind <kind>', 'only targets of this kind').choices(['meta', 'storage'])).action(
    action<{ kind?: string }>((context, { kind }) =>
      withCluster(context, async (cluster) => {
        const latest = new Map((await everyUsage(cluster)).map((entry) => [entry.target, entry]));
        const targets = cluster.map.targets
          .filter((target) => kind === undefined || target.kind === kind)
          .map((target): TargetEntry => {
            const { target: _, ...figures } = latest.get(target.id) ?? { target: target.id };
            return { ...target, ...figures };
          });
        context.out.table(columns(cluster.map), targets);
      }),
    ),
  );
  examples(command, [
    ['ibex target list', 'every target with its state and space'],
    ['ibex target list --kind storage --output json', 'storage targets as JSON'],
  ]);
}
