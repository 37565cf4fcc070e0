/** `ibex mirror create`: a group of two storage targets. Files cannot be mirrored over it yet. */
import type { Command } from 'commander';
import { mgmt } from '../../wire/messages.js';
import { withCluster } from '../connections.js';
import { action, examples } from '../context.js';
import { findTarget, targetName } from '../mirror.js';

interface Options {
  readonly primary: string;
  readonly secondary: string;
  readonly alias?: string;
  readonly force?: boolean;
}

export function define(command: Command): void {
  command
    .requiredOption('--primary <target>', 'storage target, by id or name, that writes go to first')
    .requiredOption('--secondary <target>', 'storage target that takes over from it')
    .option('--alias <name>', 'name of the group; group-ID when it is not given')
    .option('--force', 'also of one node, or of different sizes')
    .action(
      action<Options>((context, { primary, secondary, alias, force }) =>
        withCluster(context, async (cluster) => {
          const pair = { primary: findTarget(cluster.map, primary).id, secondary: findTarget(cluster.map, secondary).id };
          const { groups } = await cluster.mgmtd(mgmt.createGroups, {
            groups: [{ ...pair, ...(alias === undefined ? {} : { alias }) }],
            uneven: force === true,
          });
          const [id] = groups;
          if (context.out.json) context.out.document({ id, ...pair });
          else
            context.out.line(
              `group ${id} of ${targetName(cluster.map, pair.primary)} and ${targetName(cluster.map, pair.secondary)}; no files are mirrored over it yet`,
            );
        }),
      ),
    );
  examples(command, [
    ['ibex mirror create --primary 2 --secondary 4', 'targets 2 and 4, on different nodes'],
    ['ibex mirror create --primary disk-a --secondary disk-b --alias fast', 'by names, with a name'],
  ]);
}
