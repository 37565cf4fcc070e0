// `npm run test:rdma [-- PATTERN...]`: what needs an RDMA device, in machines that have one (test/rxe/README.md); prints
// `N passed, N failed` as its last line. A pattern is a part of a test file's path (`cluster`, `two-hosts`), or `native`.
import { join } from 'node:path';
import { root } from './install.mjs';
import { ensureSystemPackages } from './setup/system-packages.mjs';
import { main, setup } from './setup.mjs';
import { addCounts, emptyCounts } from './test/counts.mjs';
import { testInMachine, testOnTwoHosts } from './test/rdma.mjs';
import { report } from './test/report.mjs';
import { findTests } from './test/tap.mjs';

await main(async (patterns) => {
  await setup('test');
  await ensureSystemPackages('rdma');
  const wanted = (name) => patterns.length === 0 || patterns.some((pattern) => name.includes(pattern));
  const files = findTests(join(root, 'dist', 'test', 'rdma')).filter(wanted);
  const onTwoHosts = (name) => name.startsWith(join('dist', 'test', 'rdma', 'two-hosts'));
  const counts = await testInMachine({ native: wanted('native/verbs'), files: files.filter((name) => !onTwoHosts(name)) });
  for (const file of files.filter(onTwoHosts)) addCounts(counts, await testOnTwoHosts(file));
  if (counts.passed + counts.failed === 0) addCounts(counts, { ...emptyCounts(), failed: 1, failures: ['no test was run'] });
  return report(counts);
});
