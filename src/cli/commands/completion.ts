/** `ibex completion`: prints a completion script; it holds all words, so that completing starts no Node. */
import type { Command } from 'commander';
import { completionScript, shells } from '../completion/scripts.js';
import { action, examples } from '../context.js';
import { usageError } from '../exit-codes.js';
import { buildProgram } from '../program.js';

export function define(command: Command): void {
  command.argument('<shell>', shells.join(', ')).action(
    action(async (_context, _options, shell: string) => {
      const known = shells.find((name) => name === shell);
      if (known === undefined) throw usageError(`unknown shell '${shell}': expected ${shells.join(', ')}`);
      process.stdout.write(completionScript(known, await buildProgram(() => true)));
    }),
  );
  examples(command, [
    ['source <(ibex completion bash)', 'in ~/.bashrc'],
    ['ibex completion zsh > ~/.zfunc/_ibex', 'for zsh, with ~/.zfunc in fpath'],
    ['ibex completion fish > ~/.config/fish/completions/ibex.fish', 'for fish'],
  ]);
}
