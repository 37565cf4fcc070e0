/** `ibex node list`: the daemons of the cluster. */
import { type Command, Option } from 'commander';
import { everyCarrier } from '../../client/management-lists.js';
import { formatAddress } from '../../config/units.js';
import type { NodeEntry } from '../../wire/cluster-map.js';
import { withCluster } from '../connections.js';
import { action, examples } from '../context.js';
import { paintReachability } from '../output/state.js';
import type { Column } from '../output/table.js';

interface Row extends NodeEntry {
  /** Of its sessions; absent where the node has not told. */
  readonly carriers?: { readonly rdma: number; readonly tcp: number; readonly reason: string } | undefined;
}

const columns: readonly Column<Row>[] = [
  { title: 'ID', align: 'right', value: (node) => String(node.id) },
  { title: 'NAME', value: (node) => node.alias },
  { title: 'KIND', value: (node) => node.kind },
  { title: 'STATE', value: (node) => node.reachability, paint: (cell, node) => paintReachability(cell, node.reachability) },
  {
    title: 'SESSIONS',
    value: ({ carriers }) => (carriers === undefined ? '-' : `${carriers.rdma} RDMA, ${carriers.tcp} TCP`),
  },
  { title: 'ADDRESS', value: (node) => node.addresses.map(formatAddress).join(', ') },
];

export function define(command: Command): void {
  command.addOption(new Option('--kind <kind>', 'only nodes of this kind').choices(['mgmtd', 'meta', 'storage'])).action(
    action<{ kind?: string }>((context, { kind }) =>
      withCluster(context, async (cluster) => {
        const told = new Map((await everyCarrier(cluster)).map(({ node, ...carriers }) => [node, carriers]));
        context.out.table(
          columns,
          cluster.map.nodes
            .filter((node) => kind === undefined || node.kind === kind)
            .map((node): Row => ({ ...node, carriers: told.get(node.id) })),
        );
      }),
    ),
  );
  examples(command, [
    ['ibex node list', 'every daemon with its address and state'],
    ['ibex node list --kind storage --output json', 'storage daemons as JSON'],
  ]);
}
