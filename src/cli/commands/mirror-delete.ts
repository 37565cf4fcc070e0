/** `ibex mirror delete`: the targets of a group stand alone again. */
import type { Command } from 'commander';
import { mgmt } from '../../wire/messages.js';
import { withCluster } from '../connections.js';
import { action, examples } from '../context.js';
import { findGroup } from '../mirror.js';

export function define(command: Command): void {
  command.argument('<group>', 'id or name').action(
    action((context, _options, text: string) =>
      withCluster(context, async (cluster) => {
        const { id, alias } = findGroup(cluster.map, text);
        await cluster.mgmtd(mgmt.deleteGroup, { group: id });
        if (context.out.json) context.out.document({ id, alias });
        else context.out.line(`group ${id} (${alias}) is deleted`);
      }),
    ),
  );
  examples(command, [
    ['ibex mirror delete 1', 'group 1'],
    ['ibex mirror delete fast', 'by its name'],
  ]);
}
