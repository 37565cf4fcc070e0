/** `ibex storage`: the chunk files of one or more storage targets. */
import type { Command } from 'commander';
import { examples } from '../context.js';
import { defineDaemon } from '../daemon-command.js';

export function define(command: Command): void {
  defineDaemon(command, 'storage', async (config) => (await import('../../storage/daemon.js')).runStorage(config));
  examples(command, [
    ['ibex storage', 'as /etc/ibexfs/storage.toml says, or with the defaults'],
    ['ibex storage --config ./storage.toml --listen-host 0.0.0.0', 'for other machines too'],
    ['ibex storage --storage-targets /data/1,/data/2', 'two targets, one for each disk'],
  ]);
}
