/** How opens are counted over sessions that overlap, answers that are lost, and restarts. */
import { join } from 'node:path';
import t from 'tap';
import { OpenFiles } from '../../src/meta/open-files.js';
import { type Fid, ROOT_FID } from '../../src/wire/fid.js';
import { copyTarget, openTarget, testFolder, until } from './support.js';

const one = 1001 as Fid;
const origin = (sequence: number): { clientId: string; channel: number; sequence: number } => ({
  clientId: 'client',
  channel: 1,
  sequence,
});

function opens(ended: Fid[] = [], graceMs = 10): OpenFiles {
  return new OpenFiles({ graceMs, clientOpensMax: 10, ended: (files) => ended.push(...files) });
}

t.test('a session that begins before the last one ended does not count opens twice', async (t) => {
  const ended: Fid[] = [];
  const files = opens(ended);
  files.clientOpened('client');
  files.openedBy(origin(1), one, true);
  // The connection is half open: the server has not noticed its end.
  files.clientOpened('client');
  files.reopen('client', one, true);
  t.equal(files.writers(one), 1);
  t.ok(files.release('client', one, true));
  t.notOk(files.isOpen(one));

  files.open('client', one, true);
  files.clientOpened('client');
  t.ok(files.isOpen(one), 'within the grace period');
  await until(() => ended.length === 1);
  t.notOk(files.isOpen(one), 'not named again: the release was lost');
  files.close();
});

t.test('an answer that is sent again counts its open once', (t) => {
  for (const others of [0, 1]) {
    const files = opens([], 60_000);
    files.clientOpened('client');
    for (let index = 0; index < others; index++) files.open('client', one, true);
    files.openedBy(origin(1), one, true);
    files.answeredAgain(origin(1), one, true);
    t.equal(files.writers(one), others + 1, 'in the same session');
    files.clientOpened('client');
    for (let index = 0; index < others; index++) files.reopen('client', one, true);
    files.answeredAgain(origin(1), one, true);
    files.answeredAgain(origin(1), one, true);
    t.equal(files.writers(one), others + 1, 'in the next one');
    files.close();

    const restarted = opens([], 60_000);
    restarted.clientOpened('client');
    for (let index = 0; index < others; index++) restarted.reopen('client', one, true);
    restarted.answeredAgain(origin(1), one, true);
    restarted.answeredAgain(origin(1), one, true);
    t.equal(restarted.writers(one), others + 1, 'after a restart');
    restarted.close();
  }
  t.end();
});

t.test('a second open whose answer was lost with the server keeps the file after the first one is closed', async (t) => {
  const folder = testFolder(t);
  const m = await openTarget(join(folder, 'a'));
  const name = { parent: ROOT_FID, name: 'a' };
  const made = await m.call('create', { ...name, mode: 0o600, uid: 0, gid: 0, exclusive: true }, { channel: 1, sequence: 1 });
  const { fid } = made.attributes;
  await m.call('open', { fid, write: true, truncate: false }, { channel: 1, sequence: 2 });
  await m.call('unlink', name);
  copyTarget(join(folder, 'a'), join(folder, 'b'));
  await m.target.close();
  const again = await openTarget(join(folder, 'b'), { limits: { openGraceMs: 20 } });
  t.teardown(() => again.target.close());
  await again.call('reopen', { files: [{ fid, write: true }] });
  await again.call('open', { fid, write: true, truncate: false }, { channel: 1, sequence: 2 });
  await new Promise((resolve) => setTimeout(resolve, 40));
  await again.call('release', { files: [{ fid, write: true }] });
  t.equal(again.target.service.statistics().filesOpen, 1);
  t.match(await again.call('getAttributes', { fid }), { attributes: { links: 0 } });
  await again.call('release', { files: [{ fid, write: true }] });
  await t.rejects(again.call('getAttributes', { fid }), { code: 'ENOENT' });
});
