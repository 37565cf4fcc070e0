/** `ibex cp`: copies between this machine and the file system, without a mount. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { FileSystem } from '../../client/types.js';
import { withFiles } from '../connections.js';
import { action, type Context, examples } from '../context.js';
import { Copier, type CopyListener } from '../copy/copier.js';
import { destinationOf, isInside } from '../copy/destination.js';
import { localSide, remoteSide, type Side } from '../copy/side.js';
import { exitCodes, usageError } from '../exit-codes.js';
import { formatBytes, formatCount, formatDuration, formatRate } from '../output/format.js';
import { Progress } from '../output/progress.js';
import { printable } from '../output/text.js';
import { isRemote, remotePath } from '../paths.js';

interface Options {
  readonly recursive?: boolean;
  readonly preserve?: boolean;
  readonly clobber?: boolean;
  readonly progress?: boolean;
}

interface Place {
  readonly path: string;
  readonly remote: boolean;
}

/** Local names keep a `/.` at their end, which `resolve` would drop. */
function place(text: string): Place {
  if (isRemote(text)) return { path: remotePath(text), remote: true };
  return { path: /(^|\/)\.$/.test(text) ? `${resolve(text)}/.` : resolve(text), remote: false };
}

async function isDirectory(side: Side, path: string): Promise<boolean> {
  try {
    return (await side.stat(path, true)).kind === 'directory';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function listenerFor(context: Context, progress: Progress, from: Side, failures: Set<number>): CopyListener {
  return {
    found: (bytes) => {
      progress.total += bytes;
    },
    copied: (bytes) => {
      progress.done += bytes;
    },
    file: (path) => {
      progress.label = printable(from.show(path));
    },
    failed: (_path, error) => {
      progress.clear();
      failures.add(context.out.error(error).exitCode);
    },
  };
}

async function copyAll(context: Context, options: Options, files: FileSystem, sources: readonly Place[], target: Place): Promise<number> {
  const { signal } = context;
  const remote = remoteSide(files, signal);
  const to = target.remote ? remote : localSide;
  const from = sources[0]?.remote === true ? remote : localSide;
  const directory = await isDirectory(to, target.path);
  const progress = new Progress(options.progress !== false && process.stderr.isTTY === true && !context.out.json);
  const settings = { recursive: options.recursive ?? false, preserve: options.preserve ?? false, keep: options.clobber === false, signal };
  const failures = new Set<number>();
  const copier = new Copier(from, to, settings, listenerFor(context, progress, from, failures), (bytes) => files.alloc(bytes).buffer);
  try {
    for (const source of sources) {
      const destination = destinationOf(source.path, target.path, directory, sources.length);
      if (from === to && isInside(source.path, destination)) throw usageError(`cannot copy '${from.show(source.path)}' into itself`);
      await copier.add(source.path, destination);
    }
    progress.counting = false;
    await copier.finish();
  } finally {
    progress.stop();
  }
  const { totals } = copier;
  const seconds = progress.elapsedMs / 1000;
  if (context.out.json) context.out.document({ ...totals, seconds });
  else if (process.stderr.isTTY === true) {
    const rate = formatRate(totals.bytes / Math.max(seconds, 0.001));
    context.out.note(`${formatCount(totals.files)} files, ${formatBytes(totals.bytes)} in ${formatDuration(seconds)} (${rate})`);
  }
  if (totals.failed === 0) return exitCodes.ok;
  // One reason for all failures is the command's; several are a failure.
  const [reason = exitCodes.failure] = failures;
  return failures.size > 1 ? exitCodes.failure : reason;
}

export function define(command: Command): void {
  command
    .usage('[options] <source...> <destination>')
    .argument('<source...>', 'files and directories, then the destination; one side is ibex:/PATH')
    .option('-r, --recursive', 'directories with all that is in them')
    .option('-p, --preserve', 'keep owner, permissions and times')
    .option('-n, --no-clobber', 'leave files that exist already')
    .option('--no-progress', 'no progress bar')
    .action(
      action<Options>(async (context, options, operands: string[]) => {
        if (operands.length < 2) throw usageError('cp needs a source and a destination');
        const places = operands.map(place);
        const target = places.at(-1) as Place;
        const sources = places.slice(0, -1);
        if (!places.some((entry) => entry.remote)) throw usageError('neither side is ibex:/PATH: for copies within this machine use cp');
        if (sources.some((source) => source.remote !== sources[0]?.remote))
          throw usageError('sources are either all ibex:/PATH or all of this machine');
        return await withFiles(context, (files) => copyAll(context, options, files, sources, target));
      }),
    );
  examples(command, [
    ['ibex cp big.dat ibex:/data/', 'a file into a directory of the file system'],
    ['ibex cp -r ibex:/runs/17 .', 'a tree out of it'],
    ['ibex cp -rp /etc/skel ibex:/home/ann', 'with owners, permissions and times'],
  ]);
}
