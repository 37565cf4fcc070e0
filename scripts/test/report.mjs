// The end of a test run: what was skipped, what failed, and the line that other programs read.

/** A machine that tests for others (CI=true) has to have these: there a test that skips for lack of one has failed. */
const expectedOnCi = /\/dev\/fuse|\bfuse\b|io_uring|\broot\b/i;

/** Prints the counts, `N passed, N failed` last, and gives the exit code: a run without any test has failed. */
export function report(counts) {
  console.log('');
  for (const { name, reason } of counts.skipped) {
    const fails = process.env.CI === 'true' && expectedOnCi.test(reason);
    console.log(`skipped${fails ? ' (a failure here, since CI=true)' : ''}: ${name}: ${reason}`);
    if (fails) counts.failed++;
  }
  for (const name of counts.failures) console.log(`failed: ${name}`);
  if (counts.passed + counts.failed === 0) console.log('nothing was run');
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
}
