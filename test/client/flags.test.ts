import { constants } from 'node:fs';
import t from 'tap';
import { parseFlags } from '../../src/client/flags.js';
import { refusal } from '../support/properties.js';

const letters = { r: 'read', w: 'write', a: 'append', c: 'create', x: 'exclusive', t: 'truncate', s: 'sync' } as const;

const table: readonly (readonly [string | number, string])[] = [
  ['r', 'r'],
  ['r+', 'rw'],
  ['rs+', 'rws'],
  ['w', 'wct'],
  ['wx', 'wctx'],
  ['xw', 'wctx'],
  ['w+', 'rwct'],
  ['wx+', 'rwctx'],
  ['a', 'wac'],
  ['ax', 'wacx'],
  ['a+', 'rwac'],
  ['as+', 'rwacs'],
  [constants.O_RDONLY, 'r'],
  [constants.O_RDWR | constants.O_CREAT, 'rwc'],
  [constants.O_RDONLY | constants.O_TRUNC, 'r'],
  [constants.O_WRONLY | constants.O_EXCL, 'w'],
];

for (const [flags, expected] of table) {
  t.test(`flags ${flags} ask for ${expected}`, async (t) => {
    const intent = parseFlags(flags);
    for (const [letter, name] of Object.entries(letters)) t.equal(intent[name], expected.includes(letter), name);
  });
}

t.test('what is no flag is refused', async (t) => {
  for (const flags of ['', 'q', 'rw', 'toString', 3, -1, 1.5, Number.NaN])
    t.throws(() => parseFlags(flags), refusal('ERR_INVALID'), String(flags));
});
