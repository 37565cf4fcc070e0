/** Real ends of a process: kill -9 under load, and a disk that is full. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { IbexError } from '../../src/wire/errors.js';
import { type Fid, ROOT_FID } from '../../src/wire/fid.js';
import { openTarget, seed, type TestTarget, testFolder } from './support.js';

t.comment(`IBEXFS_SEED=${seed}`);
const child = fileURLToPath(new URL('./crash-child.js', import.meta.url));

/** Names that a batch leaves behind. */
const left = (round: number, batch: number): string[] => ['0', '2', '4-moved', '5', '6', '7'].map((index) => `${round}-${batch}-${index}`);

async function allNames(m: TestTarget): Promise<Map<string, Fid>> {
  const names = new Map<string, Fid>();
  for (let cookie = 0, end = false; !end; ) {
    const page = await m.call('readDirectory', { fid: ROOT_FID, cookie, limit: 4096, withAttributes: true });
    for (const entry of page.entries) {
      if (entry.attributes === undefined) throw new Error(`${entry.name} has no inode`);
      names.set(entry.name, entry.fid);
    }
    cookie = page.entries.at(-1)?.cookie ?? 0;
    end = page.end;
  }
  return names;
}

t.test('after kill -9 every acknowledged batch is there, and each whole or not at all', async (t) => {
  const folder = join(testFolder(t), 'target');
  let random = seed;
  const acknowledged: [number, number][] = [];
  const expectedNames = new Set<string>();
  for (let round = 0; round < 5; round++) {
    random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fffffff;
    const batches = 20 + (random % 200);
    const output = await runUntilKilled(folder, round, batches);
    const begun = output.filter((line) => line.startsWith('begin ')).length;
    const done = output.filter((line) => line.startsWith('ok ')).length;
    t.ok(done >= batches && begun - done <= 1, `round ${round}: ${done} of ${begun} batches acknowledged`);
    for (let batch = 0; batch < done; batch++) acknowledged.push([round, batch]);
    const m = await openTarget(folder);
    const names = await allNames(m);
    for (let batch = 0; batch < done; batch++) for (const name of left(round, batch)) expectedNames.add(name);
    const missing = [...expectedNames].filter((name) => !names.has(name));
    const more = [...names.keys()].filter((name) => !expectedNames.has(name));
    t.strictSame(missing, [], 'nothing acknowledged is lost');
    if (more.length > 0) t.strictSame(more.sort(), left(round, done).sort(), 'the batch under way is whole');
    for (const name of more) expectedNames.add(name);
    t.equal(new Set(names.values()).size, names.size, 'no FID twice');
    // Replaced and unlinked files were open when the process died: orphans still count as inodes.
    t.ok(m.target.service.statistics().inodes >= names.size + 1);
    await m.target.close();
  }
});

function runUntilKilled(folder: string, round: number, batches: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const run = spawn(process.execPath, [child, folder, String(round)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    let errors = '';
    run.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    run.stdout.on('data', (data: Buffer) => {
      text += data.toString();
      if (!run.killed && text.includes(`ok ${batches}\n`)) run.kill('SIGKILL');
    });
    run.on('close', (code, signal) => {
      if (signal === 'SIGKILL') resolve(text.slice(0, text.lastIndexOf('\n')).split('\n'));
      else reject(new Error(`child ended with ${code}: ${errors}`));
    });
  });
}

t.test(
  'a full disk fails requests with ENOSPC, and everything goes on afterwards',
  { skip: process.getuid?.() === 0 ? false : 'needs root to mount a small tmpfs' },
  async (t) => {
    t.capture(console, 'error'); // lmdb prints what fails; a daemon logs it
    const mount = join(testFolder(t), 'small');
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', mount]);
    let m: TestTarget | undefined;
    try {
      m = await openTarget(mount);
      const value = Buffer.alloc(20_000, 7);
      let made = 0;
      let failure: IbexError | undefined;
      for (; failure === undefined && made < 1000; ) {
        try {
          const { attributes } = await m.call(
            'create',
            { parent: ROOT_FID, name: `file-${made}`, mode: 0o600, uid: 0, gid: 0, exclusive: true },
            { channel: 1, sequence: 2 * made + 1 },
          );
          made++;
          await m.call('setXattr', { fid: attributes.fid, name: 'user.big', value, mode: 'any' });
        } catch (error) {
          failure = error as IbexError;
        }
      }
      t.equal(failure?.code, 'ENOSPC', String(failure));
      t.equal((await allNames(m)).size, made);
      for (let attempt = 0; attempt < 3; attempt++) {
        await t.rejects(
          m
            .call(
              'create',
              { parent: ROOT_FID, name: 'x'.repeat(250), mode: 0o600, uid: 0, gid: 0, exclusive: true },
              { channel: 2, sequence: 1 },
            )
            .then(async () => {
              for (;;)
                await m!.call('makeSymlink', { parent: ROOT_FID, name: `link-${Math.random()}`, target: 'y'.repeat(4000), uid: 0, gid: 0 });
            }),
          { code: /ENOSPC|EEXIST/ },
        );
      }
      await settleUntilFull(t, m, (await allNames(m)).get('file-0')!);
      const before = await allNames(m);
      execFileSync('mount', ['-o', 'remount,size=20m', mount]);
      await m.call(
        'create',
        { parent: ROOT_FID, name: 'after', mode: 0o600, uid: 0, gid: 0, exclusive: true },
        { channel: 3, sequence: 1 },
      );
      const files = [...before.keys()].filter((name) => !name.startsWith('link-')).length + 1;
      t.equal(m.target.service.statistics().filesOpen, files, 'opens of failed creates were taken back');
      await m.target.close();
      m = await openTarget(mount);
      t.strictSame(new Set((await allNames(m)).keys()), new Set([...before.keys(), 'after']));
    } finally {
      await m?.target.close();
      execFileSync('umount', [mount]);
    }
  },
);

/** A durable settle whose batch the log does not take fails with it, though it answers later than the batch. */
async function settleUntilFull(t: Test, m: TestTarget, fid: Fid): Promise<void> {
  const { service } = m.target;
  for (let size = 1; ; size++) {
    const answer = Promise.resolve(
      service.handlers.settle({ fid, size, mtime: 1, mtimeNs: 0, durable: true }, { clientId: 'client', channel: 0, sequence: 0 }),
    );
    answer.catch(() => undefined);
    try {
      await service.commit();
    } catch (error) {
      t.equal((error as IbexError).code, 'ENOSPC');
      await t.rejects(answer, { code: 'ENOSPC' });
      t.equal((await m.call('getAttributes', { fid })).attributes.size, size - 1);
      return;
    }
    await answer;
  }
}
