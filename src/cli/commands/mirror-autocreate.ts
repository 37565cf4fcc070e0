/** `ibex mirror autocreate`: pairs all storage targets that are in no group. */
import type { Command } from 'commander';
import { type Pair, pairTargets } from '../../mirror/pairs.js';
import type { ClusterMap } from '../../wire/cluster-map.js';
import type { GroupId } from '../../wire/fid.js';
import { mgmt } from '../../wire/messages.js';
import { withCluster } from '../connections.js';
import { action, examples } from '../context.js';
import { CliError, exitCodes } from '../exit-codes.js';
import { targetName } from '../mirror.js';
import type { Column } from '../output/table.js';

interface Options {
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

const GROUPS_PER_CALL_MAX = 1024;

const columns = (map: ClusterMap): readonly Column<Pair>[] => [
  { title: 'PRIMARY', value: ({ primary }) => targetName(map, primary) },
  { title: 'SECONDARY', value: ({ secondary }) => targetName(map, secondary) },
];

export function define(command: Command): void {
  command
    .option('--force', 'pair what is left over too: of different sizes, or of one node')
    .option('--dry-run', 'only show which targets would be paired')
    .action(
      action<Options>((context, { force, dryRun }) =>
        withCluster(context, async (cluster) => {
          const { map } = cluster;
          const uneven = force === true;
          const { pairs, single } = pairTargets(map, uneven);
          if (single.length > 0 && !uneven)
            throw new CliError(
              `no other target of another node, the same pool and about the same size for ${single.map((id) => targetName(map, id)).join(', ')}; --force pairs what can be paired`,
              exitCodes.refused,
              'EUNEVEN',
            );
          const groups: GroupId[] = [];
          for (let at = 0; dryRun !== true && at < pairs.length; at += GROUPS_PER_CALL_MAX) {
            const made = await cluster.mgmtd(mgmt.createGroups, { groups: pairs.slice(at, at + GROUPS_PER_CALL_MAX), uneven });
            groups.push(...made.groups);
          }
          context.out.table(columns(map), pairs, { pairs, groups, single }, 'no two targets are left to pair');
          if (single.length > 0 && !context.out.json) context.out.line(`left over: ${single.map((id) => targetName(map, id)).join(', ')}`);
        }),
      ),
    );
  examples(command, [
    ['ibex mirror autocreate --dry-run', 'what would be paired'],
    ['ibex mirror autocreate', 'pair targets over different nodes'],
  ]);
}
