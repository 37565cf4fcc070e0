// `npm test [-- PATTERN...]`: sets up, runs every test, and prints `N passed, N failed` as its last line.
// A pattern is a part of a test file's path (`meta`, `cli/size`), or `native`, or one of its builds (`native/asan`).
// What needs a machine with an RDMA device, test/rdma, is `npm run test:rdma`.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './install.mjs';
import { main, setup } from './setup.mjs';
import { addCounts, emptyCounts } from './test/counts.mjs';
import { testNative, variants } from './test/native.mjs';
import { report } from './test/report.mjs';
import { findTests, testTypescript } from './test/tap.mjs';

await main(async (patterns) => {
  await setup('test');
  const wanted = (name) => patterns.length === 0 || patterns.some((pattern) => name.includes(pattern));
  const counts = emptyCounts();
  const hasNative = existsSync(join(root, 'native', 'CMakeLists.txt'));
  for (const variant of Object.keys(variants)) if (hasNative && wanted(`native/${variant}`)) addCounts(counts, await testNative(variant));
  const files = findTests(join(root, 'dist', 'test')).filter((name) => !name.startsWith(join('dist', 'test', 'rdma')));
  addCounts(counts, await testTypescript(files.filter(wanted)));
  return report(counts);
});
