/** `ibex mkdir`: makes directories. */
import type { Command } from 'commander';
import { withFiles } from '../connections.js';
import { action, examples } from '../context.js';
import { usageError } from '../exit-codes.js';
import { filePath } from '../paths.js';

interface Options {
  readonly parents?: boolean;
  readonly mode?: string;
}

function parseMode(text: string): number {
  if (!/^[0-7]{3,4}$/.test(text)) throw usageError(`--mode ${text}: expected an octal number such as 755`);
  return Number.parseInt(text, 8);
}

export function define(command: Command): void {
  command
    .argument('<paths...>', 'directories')
    .option('-p, --parents', 'also what is missing above; no error when it exists')
    .option('-m, --mode <mode>', 'permissions, octal', '755')
    .action(
      action<Options>(async (context, { parents = false, mode = '755' }, paths: string[]) => {
        const bits = parseMode(mode);
        await withFiles(context, async (files) => {
          for (const path of paths) await files.mkdir(filePath(path), { recursive: parents, mode: bits, signal: context.signal });
        });
        if (context.out.json) context.out.document({ created: paths.map(filePath) });
      }),
    );
  examples(command, [
    ['ibex mkdir ibex:/data', 'a directory'],
    ['ibex mkdir -p -m 700 ibex:/home/ann/runs', 'with all above it, for its owner alone'],
  ]);
}
