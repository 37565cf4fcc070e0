/** `ibex meta`: names, inodes and layouts of one metadata target. */
import type { Command } from 'commander';
import { examples } from '../context.js';
import { defineDaemon } from '../daemon-command.js';

export function define(command: Command): void {
  defineDaemon(command, 'meta', async (config) => (await import('../../meta/daemon.js')).runMeta(config));
  examples(command, [
    ['ibex meta', 'as /etc/ibexfs/meta.toml says, or with the defaults'],
    ['ibex meta --config ./meta.toml --meta-durability sync', 'every change on disk before it is answered'],
    ['IBEX_CLUSTER_MGMTD=mgmt:7410 ibex meta', 'variables override the file'],
  ]);
}
