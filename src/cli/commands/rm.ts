/** `ibex rm`: removes files, and with -r whole trees. */
import type { Command } from 'commander';
import { withFiles } from '../connections.js';
import { action, examples } from '../context.js';
import { exitCodes, usageError } from '../exit-codes.js';
import { filePath } from '../paths.js';

interface Options {
  readonly recursive?: boolean;
  readonly force?: boolean;
}

export function define(command: Command): void {
  command
    .argument('<paths...>', 'files and directories')
    .option('-r, --recursive', 'directories with all that is in them')
    .option('-f, --force', 'no error for what does not exist')
    .action(
      action<Options>((context, { recursive = false, force = false }, paths: string[]) =>
        withFiles(context, async (files) => {
          let worst: number = exitCodes.ok;
          const removed: string[] = [];
          for (const text of paths) {
            const path = filePath(text);
            if (path === '/') throw usageError('the root of the file system cannot be removed; name what is in it');
            try {
              await files.rm(path, { recursive, force, signal: context.signal });
              removed.push(path);
            } catch (error) {
              if (context.signal.aborted || paths.length === 1) throw error;
              worst = Math.max(worst, context.out.error(error).exitCode);
            }
          }
          if (context.out.json) context.out.document({ removed });
          return worst;
        }),
      ),
    );
  examples(command, [
    ['ibex rm ibex:/old', 'a file'],
    ['ibex rm -rf ibex:/scratch/run-17', 'a tree, if it is there'],
  ]);
}
