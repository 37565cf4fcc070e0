/** `ibex mgmtd`: membership, cluster map, HTTP API. */
import type { Command } from 'commander';
import { examples } from '../context.js';
import { defineDaemon } from '../daemon-command.js';

export function define(command: Command): void {
  defineDaemon(command, 'mgmtd', async (config) => (await import('../../mgmt/daemon.js')).runMgmtd(config));
  examples(command, [
    ['ibex mgmtd', 'as /etc/ibexfs/mgmtd.toml says, or with the defaults'],
    ['ibex mgmtd --config ./mgmtd.toml --listen-host 0.0.0.0', 'for other machines too'],
    ['IBEX_HTTP_ENABLED=false ibex mgmtd', 'variables override the file'],
  ]);
}
