/** `ibex dev`: a cluster to try things with. */
import type { Command } from 'commander';
import { action, examples } from '../context.js';

interface Options {
  readonly dir?: string;
  readonly mount: string | boolean;
  readonly targets?: string;
}

export function define(command: Command): void {
  command
    .option('--dir <folder>', 'where everything is kept (default: ~/.local/share/ibexfs)')
    .option('--mount <folder>', 'where to mount (default: mnt in that folder)', true)
    .option('--no-mount', 'no mount')
    .option('--targets <count>', 'storage targets (default: 4, or as many as there are)')
    .action(
      action<Options>(async (_context, options) => {
        const { runDev } = await import('../../dev/run.js');
        process.exitCode = await runDev(options);
      }),
    )
    .addHelpText(
      'after',
      `
Runs one mgmtd, one metadata daemon, four storage targets in two daemons, and a mount, until Ctrl-C.
A daemon that dies is started again. Ports 7410, 7411 (HTTP), 7420, 7430, 7431, or the next free ones.
Commands of ibex find this cluster by themselves, unless --dir is given: then use --config FOLDER/config/client.toml.`,
    );
  examples(command, [
    ['ibex dev', 'a cluster; the second time with the files of the first'],
    ['ibex dev --dir /data/try --mount /mnt/try', 'in folders of your choice'],
    ['ibex dev --targets 8 --no-mount', 'more targets, no FUSE'],
  ]);
}
