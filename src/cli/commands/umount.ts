/** `ibex umount`: ends a mount; its process writes back what is left and stops by itself. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { action, examples } from '../context.js';
import { CliError, exitCodes } from '../exit-codes.js';
import { ibexMounts, realMountPath, unmount } from '../mounts.js';

export function define(command: Command): void {
  command
    .argument('<mountpoint>', 'directory')
    .option('-l, --lazy', 'take it away at once, even while programs work in it')
    .action(
      action<{ lazy?: boolean }>(async (context, { lazy = false }, text: string) => {
        const path = realMountPath(resolve(text));
        const mounts = ibexMounts();
        if (!mounts.some((mount) => mount.path === path)) {
          const known = mounts.map((mount) => mount.path).join(', ');
          throw new CliError(
            `no ibexfs is mounted at ${path}${known === '' ? '' : `; mounted are ${known}`}`,
            exitCodes.notFound,
            'ENOENT',
          );
        }
        await unmount(path, { lazy });
        if (context.out.json) context.out.document({ mountPoint: path });
      }),
    );
  examples(command, [
    ['ibex umount /mnt/ibex', 'after the last program left it'],
    ['ibex umount --lazy /mnt/ibex', 'although something still works in it'],
  ]);
}
