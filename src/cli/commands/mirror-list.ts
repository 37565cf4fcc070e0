/** `ibex mirror list`: groups, their roles and how current their secondaries are. */
import type { Command } from 'commander';
import { withCluster } from '../connections.js';
import { action, examples } from '../context.js';
import { groupColumns } from '../mirror.js';

export function define(command: Command): void {
  command.action(
    action((context) => withCluster(context, async ({ map }) => context.out.table(groupColumns(map), map.groups, map.groups, 'no groups'))),
  );
  examples(command, [
    ['ibex mirror list', 'every group with its primary and secondary'],
    ['ibex mirror list --output json', 'the same as JSON'],
  ]);
}
