/** `ibex node list`: the daemons of the cluster. */
import { type Command, Option } from 'commander';
import { formatAddress } from '../../config/units.js';
import type { NodeEntry } from '../../wire/cluster-map.js';
import { withCluster } from '../connections.js';
import { action, examples } from '../context.js';
import { paintReachability } from '../output/state.js';
import type { Column } from '../output/table.js';

const columns: readonly Column<NodeEntry>[] = [
  { title: 'ID', align: 'right', value: (node) => String(node.id) },
  { title: 'NAME', value: (node) => node.alias },
  { title: 'KIND', value: (node) => node.kind },
  { title: 'STATE', value: (node) => node.reachability, paint: (cell, node) => paintReachability(cell, node.reachability) },
  { title: 'ADDRESS', value: (node) => node.addresses.map(formatAddress).join(', ') },
];

export function define(command: Command): void {
  command.addOption(new Option('--kind <kind>', 'only nodes of this kind').choices(['mgmtd', 'meta', 'storage'])).action(
    action<{ kind?: string }>((context, { kind }) =>
      withCluster(context, async ({ map }) => {
        context.out.table(
          columns,
          map.nodes.filter((node) => kind === undefined || node.kind === kind),
        );
      }),
    ),
  );
  examples(command, [
    ['ibex node list', 'every daemon with its address and state'],
    ['ibex node list --kind storage --output json', 'storage daemons as JSON'],
  ]);
}
