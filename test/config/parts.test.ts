import fc from 'fast-check';
import { test } from 'tap';
import { editDistance, nearest } from '../../src/config/nearest.js';
import { findPositions } from '../../src/config/positions.js';
import { formatAddress, parseAddress, parseDuration, parseSize } from '../../src/config/units.js';
import { checks } from '../support/properties.js';

test('sizes', async (t) => {
  const cases: readonly [string, number | undefined][] = [
    ['64 MiB', 2 ** 26],
    ['64MiB', 2 ** 26],
    ['1.5 GB', 1.5e9],
    ['4096', 4096],
    ['0', 0],
    ['10K', 10240],
    ['1 TiB', 2 ** 40],
    ['', undefined],
    ['MiB', undefined],
    ['1 mib', undefined],
    ['-1', undefined],
    ['1e3', undefined],
    ['9999999999999 TiB', undefined],
    ['1 constructor', undefined],
  ];
  for (const [text, bytes] of cases) t.equal(parseSize(text), bytes, JSON.stringify(text));
});

test('durations', async (t) => {
  const cases: readonly [string, number | undefined][] = [
    ['10 s', 10_000],
    ['250ms', 250],
    ['2 min', 120_000],
    ['1.5 s', 1500],
    ['1 h', 3_600_000],
    ['10', undefined],
    ['s', undefined],
    ['1 d', undefined],
  ];
  for (const [text, ms] of cases) t.equal(parseDuration(text), ms, JSON.stringify(text));
});

test('addresses', async (t) => {
  t.same(parseAddress('host.example:80'), { host: 'host.example', port: 80 });
  t.same(parseAddress('[::1]:80'), { host: '::1', port: 80 });
  for (const wrong of ['', 'host', 'host:', ':80', '::1:80', 'host:0', 'host:65536', 'a b:1', '[x]:1'])
    t.equal(parseAddress(wrong), undefined, wrong);
  checks(
    t,
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()), fc.integer({ min: 1, max: 65535 }), (host, port) => {
      const address = { host, port };
      const parsed = parseAddress(formatAddress(address));
      return parsed?.host === host && parsed.port === port;
    }),
  );
});

test('edit distance', async (t) => {
  t.equal(editDistance('port', 'port'), 0);
  t.equal(editDistance('prot', 'port'), 1, 'a swap is one mistake');
  t.equal(editDistance('', 'abc'), 3);
  const word = fc.string({ maxLength: 8 });
  checks(
    t,
    fc.property(word, word, (a, b) => editDistance(a, b) === editDistance(b, a) && (editDistance(a, b) === 0) === (a === b)),
  );
  t.equal(nearest('adress', ['address', 'port']), 'address');
  t.equal(nearest('xyz', ['address', 'port']), undefined);
  t.equal(nearest('x'.repeat(100_000), ['address']), undefined, 'in bounded time');
});

test('positions of keys, whatever stands before them', async (t) => {
  const scalar = fc.constantFrom(
    '1',
    '"a # b"',
    "'[no]'",
    '"""\n[x]\ny = 1 # "\n"""',
    "'''\n''''",
    '[1, # c\n 2]',
    '{ a = [1] }',
    '"\\"" # "c"',
    '1979-05-27',
    '""',
  );
  const statement = fc.record({
    key: fc.constantFrom('a', 'b_c', '"q"', "'r'"),
    value: scalar,
    blank: fc.constantFrom('', '\n', '# [c]\n', '  '),
  });
  checks(
    t,
    fc.property(fc.array(statement, { maxLength: 8 }), (statements) => {
      let document = '';
      const expected = new Map<string, number>();
      statements.forEach(({ key, value, blank }, index) => {
        document += `${blank}[s${index}]\n${key} = ${value}\n`;
        const lineOf = (text: string): number => document.slice(0, document.lastIndexOf(text)).split('\n').length;
        expected.set(`s${index}`, lineOf(`[s${index}]`));
        expected.set(`s${index}.${key.replace(/["']/g, '')}`, lineOf(`[s${index}]`) + 1);
      });
      const found = findPositions(document);
      for (const [name, line] of expected)
        if (found.get(name) !== line) throw new Error(`${name}: ${found.get(name)} instead of ${line} in ${JSON.stringify(document)}`);
    }),
  );
});
