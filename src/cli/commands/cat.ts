/** `ibex cat`: files to standard output. */
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { withFiles } from '../connections.js';
import { action, examples } from '../context.js';
import { exitCodes } from '../exit-codes.js';
import { filePath } from '../paths.js';

/** Standard output stays open from file to file, and waits for its reader. */
function toStandardOutput(): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (process.stdout.write(chunk)) done();
      else process.stdout.once('drain', done);
    },
  });
}

export function define(command: Command): void {
  command.argument('<paths...>', 'files').action(
    action((context, _options, paths: string[]) =>
      withFiles(context, async (files) => {
        let worst: number = exitCodes.ok;
        for (const path of paths) {
          try {
            await pipeline(files.createReadStream(filePath(path), { signal: context.signal }), toStandardOutput());
          } catch (error) {
            if (context.signal.aborted || paths.length === 1) throw error;
            worst = Math.max(worst, context.out.error(error).exitCode);
          }
        }
        return worst;
      }),
    ),
  );
  examples(command, [
    ['ibex cat ibex:/notes', 'a file'],
    ['ibex cat ibex:/a ibex:/b | sha256sum', 'two files, one after the other'],
  ]);
}
