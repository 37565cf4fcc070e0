// What the runners say about their tests, brought to one form:
// { passed, failed, skipped: [{ name, reason }], failures: [name] }. A skipped test is neither passed nor failed.

export function emptyCounts() {
  return { passed: 0, failed: 0, skipped: [], failures: [] };
}

export function addCounts(sum, more) {
  sum.passed += more.passed;
  sum.failed += more.failed;
  sum.skipped.push(...more.skipped);
  sum.failures.push(...more.failures);
  return sum;
}

const point = /^(not ok|ok) \d+(?: - )?(.*?)(?: # (SKIP|TODO|time=)\s?(.*))?$/i;

/**
 * tap's output: a test file is a subtest of depth 1, and what counts is what stands directly below it, its tests.
 * A file that says 'not ok' without a failed test in it (it crashed, or ran too long) is one failure;
 * so is a file without any test.
 */
export function countTap(text) {
  const counts = emptyCounts();
  let inFile = [];
  let inTest = [];
  for (const line of text.split('\n')) {
    const depth = line.length - line.trimStart().length;
    if (depth % 4 !== 0) continue;
    const match = point.exec(line.trim());
    if (match === null) continue;
    const [, result, title, directive = '', reason = ''] = match;
    const entry = { ok: result === 'ok', name: title.trim(), skipped: /^(skip|todo)$/i.test(directive), reason };
    if (depth > 4) {
      inTest.push(entry);
    } else if (depth === 4) {
      inFile.push(...withInnerSkips(entry, inTest));
      inTest = [];
    } else {
      closeFile(counts, entry, inFile);
      inFile = [];
    }
  }
  return counts;
}

/** `t.skip()` within a test: the test counts as skipped when it did nothing else, and the skip is told in any case. */
function withInnerSkips(test, points) {
  const skips = points.filter((point) => point.skipped).map((point) => ({ ...point, name: `${test.name} > ${point.name}` }));
  return skips.length > 0 && skips.length === points.length ? skips : [test, ...skips];
}

function closeFile(counts, file, tests) {
  for (const test of tests) {
    const name = `${file.name} > ${test.name}`;
    if (test.skipped) counts.skipped.push({ name, reason: test.reason || test.name });
    else if (test.ok) counts.passed++;
    else fail(counts, name);
  }
  if (tests.length > 0) {
    if (!file.ok && tests.every((test) => test.ok)) fail(counts, `${file.name} (ended badly after its tests)`);
    return;
  }
  if (file.ok && file.skipped && file.reason !== 'no tests found') counts.skipped.push({ name: file.name, reason: file.reason });
  else fail(counts, `${file.name} (ran no test)`);
}

function fail(counts, name) {
  counts.failed++;
  counts.failures.push(name);
}

const entities = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'", '&amp;': '&' };
const unescapeXml = (text) => text.replace(/&(lt|gt|quot|apos|amp);/g, (entity) => entities[entity]);

/**
 * ctest's JUnit file. A doctest program counts with its test cases, any other with one.
 * Test cases say `SKIPPED: <test case>: <reason>` on a line of their own when the machine lacks something; doctest takes
 * them for passed.
 */
export function countCtest(xml, variant) {
  const counts = emptyCounts();
  for (const [, attributes, body] of xml.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const attribute = (name) => unescapeXml(attributes.match(new RegExp(`\\b${name}="([^"]*)"`))?.[1] ?? '');
    const name = `${variant} > ${attribute('name')}`;
    const output = unescapeXml(body ?? '');
    const ok = attribute('status') === 'run';
    const skipped = new Set([...output.matchAll(/^SKIPPED: (.*)$/gm)].map(([, reason]) => reason));
    for (const reason of skipped) counts.skipped.push({ name, reason });
    const cases = [...output.matchAll(/\[doctest\] test cases:\s+\d+ \|\s+(\d+) passed \|\s+(\d+) failed/g)];
    for (const [, passed] of cases) counts.passed += Number(passed);
    const failed = cases.reduce((sum, [, , number]) => sum + Number(number), 0);
    // One that failed all the same, because what it needs is required, is no passed one.
    if (failed === 0 && cases.length > 0) counts.passed -= skipped.size;
    counts.failed += failed;
    if (failed > 0) counts.failures.push(name);
    if (['notrun', 'disabled'].includes(attribute('status'))) counts.skipped.push({ name, reason: 'ctest did not run it' });
    else if (!ok && failed === 0) fail(counts, `${name} (ended badly)`);
    else if (ok && cases.length === 0 && skipped.size === 0) counts.passed++;
  }
  return counts;
}
