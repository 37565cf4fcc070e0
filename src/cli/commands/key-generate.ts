/** `ibex key generate`: the secret that makes a cluster. */
import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { generateKeyFile } from '../../wire/key.js';
import { action, examples } from '../context.js';
import { CliError } from '../exit-codes.js';

export function define(command: Command): void {
  command.argument('<file>', 'where to write it; it must not exist yet').action(
    action(async (context, _options, text: string) => {
      const file = resolve(text);
      try {
        await mkdir(dirname(file), { recursive: true });
        await generateKeyFile(file);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code !== 'EEXIST') throw error;
        throw new CliError(`${file} exists already and was not changed: another key would make it another cluster`, 1, 'EEXIST', {
          cause: error,
        });
      }
      if (context.out.json) context.out.document({ file });
      else context.out.line(`${file}: a new key, readable by its owner alone; copy it to every machine of the cluster`);
    }),
  );
  examples(command, [
    ['ibex key generate /etc/ibexfs/key', 'where the daemons look for it'],
    ['scp -p /etc/ibexfs/key node7:/etc/ibexfs/key', 'the same key on another machine'],
  ]);
}
