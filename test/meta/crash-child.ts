/** Run by crash.test.ts: changes a target in batches, says on stdout what it begins and what was acknowledged, until it is killed. */
import { writeSync } from 'node:fs';
import { ROOT_FID } from '../../src/wire/fid.js';
import { openTarget } from './support.js';

const [, , folder, round] = process.argv;
const { target } = await openTarget(folder!, { applyIntervalMs: 5 });
const { handlers } = target.service;
await target.service.commit();
const origin = { clientId: 'child', channel: 0, sequence: 0 };
const say = (line: string): void => {
  writeSync(1, `${line}\n`);
};

for (let batch = 0; ; batch++) {
  const name = (index: number): string => `${round}-${batch}-${index}`;
  say(`begin ${batch}`);
  for (let index = 0; index < 8; index++)
    handlers.create({ parent: ROOT_FID, name: name(index), mode: 0o600, uid: 0, gid: 0, exclusive: true }, origin);
  handlers.rename({ parent: ROOT_FID, name: name(1), newParent: ROOT_FID, newName: name(2), mode: 'replace' }, origin);
  handlers.unlink({ parent: ROOT_FID, name: name(3) }, origin);
  handlers.rename({ parent: ROOT_FID, name: name(4), newParent: ROOT_FID, newName: `${name(4)}-moved`, mode: 'keep' }, origin);
  await target.service.commit();
  say(`ok ${batch}`);
  if (batch % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
}
