/** Figures as people read and write them. */
import { constants } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { chunkBytes } from '../../src/cli/chunk-sizes.js';
import { parseStripeCount, parseStripeSize } from '../../src/cli/commands/entry-set.js';
import { formatBytes, formatCount, formatDuration, formatMode, formatPercent } from '../../src/cli/output/format.js';
import { renderProgress } from '../../src/cli/output/progress.js';
import { displayWidth } from '../../src/cli/output/text.js';
import { isUsageError } from './usage.js';

t.test('bytes', async (t) => {
  const table: readonly [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [1023.9 * 1024, '1.0 MiB'],
    [100 * 1024, '100 KiB'],
    [2 ** 30, '1.0 GiB'],
    [5.5 * 2 ** 40, '5.5 TiB'],
  ];
  for (const [bytes, text] of table) t.equal(formatBytes(bytes), text);
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => formatBytes(bytes).length <= 8));
});

t.test('durations', async (t) => {
  const table: readonly [number, string][] = [
    [0.04, '0.0 s'],
    [9.94, '9.9 s'],
    [59, '59 s'],
    [90, '1 min 30 s'],
    [3600, '1 h'],
    [100_000, '1 d 3 h'],
  ];
  for (const [seconds, text] of table) t.equal(formatDuration(seconds), text);
});

t.test('counts, parts, modes', async (t) => {
  t.equal(formatCount(1_234_567), '1,234,567');
  t.equal(formatCount(12), '12');
  t.equal(formatPercent(1, 3), '33%');
  t.equal(formatPercent(0, 0), '-');
  t.equal(formatMode(constants.S_IFREG | 0o644), '-rw-r--r--');
  t.equal(formatMode(constants.S_IFDIR | 0o1777), 'drwxrwxrwt');
  t.equal(formatMode(constants.S_IFREG | 0o4711), '-rws--x--x');
  t.equal(formatMode(constants.S_IFREG | 0o2600), '-rw---S---');
});

t.test('stripe sizes in the usual forms', async (t) => {
  const table: readonly [string, number][] = [
    ['1M', 2 ** 20],
    ['1MiB', 2 ** 20],
    ['512k', 512 * 1024],
    ['64K', 65_536],
    ['4 MiB', 4 * 2 ** 20],
    ['65536', 65_536],
    ['1G', 2 ** 30],
  ];
  for (const [text, bytes] of table) t.equal(parseStripeSize(text), bytes, text);
  for (const text of ['', '0', '1', '63K', '100000', '2G', '-1M', 'big', '1X', '1M2']) isUsageError(t, () => parseStripeSize(text), text);
});

t.test('stripe counts', async (t) => {
  t.equal(parseStripeCount('all'), 0);
  t.equal(parseStripeCount('4'), 4);
  for (const text of ['', '-1', '1.5', '1025', 'many']) isUsageError(t, () => parseStripeCount(text), text);
});

t.test('chunks of a file add up to it', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 40 }),
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 1024 }),
      (size, columns, units) => {
        const stripeSize = units * 65_536;
        let sum = 0;
        for (let column = 0; column < columns; column++) sum += chunkBytes(size, column, columns, stripeSize);
        return sum === size;
      },
    ),
  );
});

t.test('the progress bar fits its line and never runs backwards', async (t) => {
  const state = {
    done: 50 * 2 ** 20,
    total: 100 * 2 ** 20,
    counting: false,
    elapsedMs: 1000,
    rate: 25 * 2 ** 20,
    label: 'a/very/long/path/to/a/file',
  };
  t.match(renderProgress(state, 200), /^\[=+> +\] {2}50% 50\.0 MiB of 100 MiB {2}25\.0 MiB\/s {2}2\.0 s left {2}a\/very/);
  t.match(renderProgress({ ...state, total: 0, done: 0 }, 200), /100%/, 'nothing to do is done');
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.boolean(), fc.nat(), fc.integer({ min: 0, max: 250 }), (done, total, counting, rate, columns) => {
      return displayWidth(renderProgress({ ...state, done, total, counting, rate }, columns)) <= columns;
    }),
  );
});
