// Tests in machines with an RDMA device (test/rxe): many files in one, or one file in two that are joined by a wire.
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { removeAtExit } from '../../test/rxe/leftovers.mjs';
import { runInMachine } from '../../test/rxe/machine.mjs';
import { progress } from '../setup/process.mjs';
import { addCounts, countCtest, countTap, emptyCounts } from './counts.mjs';
import { buildTests, ctestArguments } from './native.mjs';
import { ensureTapPlugins, followTap } from './tap.mjs';

const FILE_LIMIT_S = 600;
/** How long the other machine may go on, to say what it saw, when one has failed. */
const OTHER_HOST_MS = 30_000;

/** A missing RDMA device is a failure there, and a reason to skip elsewhere. */
const environment = (more) => [
  'env',
  'IBEXFS_REQUIRE_RDMA=1',
  `TAP_TIMEOUT=${FILE_LIMIT_S}`,
  ...['CI', 'IBEXFS_SEED'].filter((name) => process.env[name] !== undefined).map((name) => `${name}=${process.env[name]}`),
  ...more,
];

/** Runs the files in one machine; a file that the machine did not get to has failed. */
async function testFiles({ folder, native, files, role, ...machine }) {
  const stdout = new PassThrough();
  const text = followTap(stdout);
  const own = role === undefined ? [] : [`ROLE=${role}`];
  const command = [...environment(own), 'bash', 'scripts/test/in-machine.sh', ...native, '--', ...files];
  const status = await runInMachine({ command, shares: [folder], timeLimitS: FILE_LIMIT_S * (files.length + 1), stdout, ...machine });
  stdout.end();
  const counts = countTap(await text);
  const host = role === undefined ? '' : ` on host ${role}`;
  for (const file of files) {
    if ((await text).includes(` - ${file}${host} #`)) continue;
    addCounts(counts, { ...emptyCounts(), failed: 1, failures: [`${file}${host} (the machine ended before it, status ${status})`] });
  }
  return counts;
}

/** Shared with the machines of one run; removed at its end. */
async function withFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), 'ibexfs-rdma-'));
  const remove = removeAtExit(folder);
  try {
    return await work(folder);
  } finally {
    remove();
  }
}

/** The native tests of verbs, where there are any and they are wanted, and TypeScript tests, in one machine. */
export async function testInMachine({ native: nativeWanted, files }) {
  const build = nativeWanted ? await buildTests('plain') : '';
  if (build === undefined) return { ...emptyCounts(), failed: 1, failures: ['native/plain does not compile'] };
  const hasNative = build !== '' && existsSync(join(build, 'verbs_tests'));
  if (!hasNative && files.length === 0) return emptyCounts();
  progress(`${files.length} test files${hasNative ? ' and native tests' : ''} in a machine with an RDMA device`);
  await ensureTapPlugins();
  return await withFolder(async (folder) => {
    const results = join(folder, 'native.xml');
    const native = hasNative ? ['ctest', '--test-dir', build, '-R', '^verbs', ...ctestArguments(results)] : [];
    const counts = await testFiles({ folder, native, files });
    if (!hasNative) return counts;
    const own = existsSync(results) ? countCtest(readFileSync(results, 'utf8'), 'native/verbs') : emptyCounts();
    if (own.passed + own.failed > 0) return addCounts(counts, own);
    return addCounts(counts, { ...emptyCounts(), failed: 1, failures: ['native/verbs (ran no test)'] });
  });
}

/** One file on both of two machines: it is told in its first argument which it is on, '1' or '2'. */
export async function testOnTwoHosts(file) {
  progress(`${file} on two machines`);
  await ensureTapPlugins();
  return await withFolder(async (folder) => {
    const stop = new AbortController();
    const counts = emptyCounts();
    const runOn = async (host) => {
      const wire = { folder, host };
      const own = await testFiles({ folder, native: [], files: [file], role: host, wire, memoryMiB: 3072, signal: stop.signal });
      addCounts(counts, own);
      if (own.failed > 0) setTimeout(() => stop.abort(), OTHER_HOST_MS).unref();
    };
    await Promise.all([runOn(1), runOn(2)]);
    return counts;
  });
}
