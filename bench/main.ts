/**
 * `npm run bench [-- NAME...] [--rounds N] [--json FILE] [--folder DIR]`: each figure beside its limit in the same run.
 * Contenders are interleaved and the best of N rounds (3) counts; runs during which the host took more than
 * 3 % of the CPU time are marked.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { TestCluster } from '../test/cluster/cluster.js';
import { type Bench, type Benchmark, freshFolder } from './bench.js';
import { footprint } from './footprint.js';
import { libraryMetadata } from './library-metadata.js';
import { libraryStream } from './library-stream.js';
import { mountFiles } from './mount-files.js';
import { mountRandom } from './mount-random.js';
import { mountSequential } from './mount-sequential.js';
import { PassThrough } from './passthrough.js';
import { type Figure, json, table } from './report.js';

const benchmarks: Readonly<Record<string, Benchmark>> = {
  'mount-sequential': mountSequential,
  'mount-random': mountRandom,
  'mount-files': mountFiles,
  'library-stream': libraryStream,
  'library-metadata': libraryMetadata,
  footprint,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    json: { type: 'string' },
    folder: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});

const unknown = positionals.filter((name) => !(name in benchmarks));
if (values.help === true || unknown.length > 0) {
  if (unknown.length > 0) console.error(`unknown benchmark: ${unknown.join(', ')}`);
  console.log(`npm run bench -- [NAME...] [--rounds N] [--json FILE] [--folder DIR]\nbenchmarks: ${Object.keys(benchmarks).join(', ')}`);
  process.exit(unknown.length > 0 ? 2 : 0);
}

const cleaners: (() => Promise<void>)[] = [];
const teardown = { teardown: (handler: () => Promise<void>) => void cleaners.unshift(handler) };
const figures: Figure[] = [];

try {
  const folder = await mkdtemp(join(values.folder ?? tmpdir(), 'ibexfs-bench-'));
  cleaners.push(() => rm(folder, { recursive: true, force: true }));
  const cluster = await TestCluster.start(teardown, { folder: join(folder, 'cluster') });
  const mount = await cluster.mount();
  const passThrough = new PassThrough(folder);
  cleaners.unshift(() => passThrough.stop());
  await passThrough.start();
  const bench: Bench = {
    folder,
    cluster,
    mount,
    passThrough,
    local: await freshFolder(folder, 'local'),
    rounds: Number(values.rounds),
    log: (text) => console.error(text),
  };
  for (const name of positionals.length > 0 ? positionals : Object.keys(benchmarks)) {
    const own = await (benchmarks[name] as Benchmark)(bench);
    figures.push(...own);
  }
  console.log(table(figures));
  if (values.json !== undefined) await writeFile(values.json, `${json(figures)}\n`);
} finally {
  for (const clean of cleaners) await clean().catch((error: unknown) => console.error(error));
}
