/** `ibex key token`: what the HTTP API wants to see, derived from the key. */
import type { Command } from 'commander';
import { httpToken, readKeyFile } from '../../wire/key.js';
import { action, examples } from '../context.js';

export function define(command: Command): void {
  command.argument('[file]', 'key file; by default the one configured').action(
    action(async (context, _options, file: string | undefined) => {
      const { loadClientConfig } = await import('../client-config.js');
      const token = httpToken(await readKeyFile(file ?? loadClientConfig(context.globals).cluster.keyFile));
      if (context.out.json) context.out.document({ token });
      else context.out.line(token);
    }),
  );
  examples(command, [
    ['curl -H "Authorization: Bearer $(ibex key token)" http://127.0.0.1:7411/api/v1/status', 'ask the HTTP API'],
    ['ibex key token /etc/ibexfs/key', 'of a certain key'],
  ]);
}
