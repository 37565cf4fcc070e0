/** `ibex entry set`: how files that are created below a directory from now on are striped. */
import { type Command, Option } from 'commander';
import { parseSize } from '../../config/units.js';
import { withFiles } from '../connections.js';
import { action, examples } from '../context.js';
import { usageError } from '../exit-codes.js';
import { formatBytes } from '../output/format.js';
import { filePath } from '../paths.js';

interface Options {
  readonly stripeSize?: string;
  readonly stripeCount?: string;
  readonly pool?: string;
  readonly pattern?: 'plain' | 'mirror';
}

const STRIPE_SIZE_UNIT = 65_536;
const STRIPE_SIZE_MAX = 2 ** 30;
const STRIPE_COUNT_MAX = 1024;

export function parseStripeSize(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes < STRIPE_SIZE_UNIT || bytes > STRIPE_SIZE_MAX || bytes % STRIPE_SIZE_UNIT !== 0) {
    throw usageError(`--stripe-size ${text}: expected a multiple of 64 KiB from 64K to 1G, such as 512k, 1M or 4MiB`);
  }
  return bytes;
}

export function parseStripeCount(text: string): number {
  const count = text === 'all' ? 0 : Number(text);
  if (text.trim() === '' || !Number.isInteger(count) || count < 0 || count > STRIPE_COUNT_MAX) {
    throw usageError(`--stripe-count ${text}: expected a number from 1 to ${STRIPE_COUNT_MAX}, or "all"`);
  }
  return count;
}

export function define(command: Command): void {
  command
    .argument('<path>', 'directory, or a file that is still empty')
    .option('--stripe-size <size>', 'bytes of one stripe: 64K to 1G, a multiple of 64K')
    .option('--stripe-count <count>', 'targets that a file is spread over, or "all"')
    .option('--pool <name>', 'storage pool to take targets from')
    .addOption(new Option('--pattern <pattern>', 'over single targets, or over mirror groups').choices(['plain', 'mirror']))
    .action(
      action<Options>(async (context, { stripeSize, stripeCount, pool, pattern }, text: string) => {
        if (stripeSize === undefined && stripeCount === undefined && pool === undefined && pattern === undefined) {
          throw usageError('nothing to set: give --stripe-size, --stripe-count, --pool or --pattern');
        }
        const layout = {
          stripeSize: stripeSize === undefined ? undefined : parseStripeSize(stripeSize),
          stripeCount: stripeCount === undefined ? undefined : parseStripeCount(stripeCount),
          pool,
          pattern,
        };
        const path = filePath(text);
        const now = await withFiles(context, async (files) => {
          await files.setLayout(path, layout, { signal: context.signal });
          return await files.getLayout(path, { signal: context.signal });
        });
        const what = now.pattern === 'mirror' ? 'mirror groups' : 'targets';
        const count = now.stripeCount === 0 ? `all ${what}` : `${now.stripeCount} ${what}`;
        if (context.out.json) context.out.document({ path, layout: now });
        else context.out.line(`${path}: stripes of ${formatBytes(now.stripeSize)} over ${count} of pool ${now.pool}`);
      }),
    );
  examples(command, [
    ['ibex entry set ibex:/big --stripe-size 4M --stripe-count all', 'large files, read by many'],
    ['ibex entry set ibex:/safe --pattern mirror', 'new files on two targets each, once mirrored files can be written'],
    ['ibex entry set /mnt/ibex/small --stripe-count 1', 'small files, each on one target'],
  ]);
}
