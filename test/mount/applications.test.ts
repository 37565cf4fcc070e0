/** Programs that people run in a file system: a build of LMDB, git, SQLite with a crash, fio with verification. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { type CommandResult, type Mount, run, TestCluster } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';

/** A real C project that every machine has which runs this: npm brings it along. */
const LMDB_SOURCE = fileURLToPath(new URL('../../../node_modules/lmdb/dependencies/lmdb/libraries/liblmdb', import.meta.url));

/**
 * Paths of a tree and the sizes of what is there, sorted: as many as fit the database that mdb_load makes. Not a multiple of
 * the hundred of one of its transactions: this LMDB refuses to commit the empty one that would follow.
 */
async function entriesOfTree(tree: string): Promise<string[]> {
  const paths = (await fs.readdir(tree, { recursive: true })).filter((path) => /^[\x21-\x5b\x5d-\x7e]{1,100}$/.test(path)).slice(0, 4_999);
  const sorted = paths.sort((a, b) => (a < b ? -1 : 1));
  return (await Promise.all(sorted.map(async (path) => [path, String((await fs.lstat(join(tree, path))).size)]))).flat();
}

/** The lines of mdb_dump: after a head every key and value, each behind a blank. */
const entriesOfDump = (dump: string): string[] =>
  dump
    .split('\n')
    .filter((line) => line.startsWith(' '))
    .map((line) => line.slice(1));

t.test('applications in the mount', { ...needs('root', 'fuse', 'cc', 'make', 'git', 'sqlite3', 'fio'), timeout: 600_000 }, async (t) => {
  const cluster = await TestCluster.start(t);
  const mount: Mount = await cluster.mount();
  const ok = (result: CommandResult, what: string): boolean => t.equal(result.code, 0, `${what}: ${result.stderr.slice(-500)}`);

  t.test('LMDB is built in parallel, passes its test, and keeps a database here', async (t) => {
    const project = join(mount.path, 'liblmdb');
    ok(await run('cp', ['-r', LMDB_SOURCE, project]), 'cp');
    const make = (...args: string[]): Promise<CommandResult> => run('make', ['-j2', '-C', project, 'CC=cc', 'W=-w', ...args]);
    ok(await make(), 'make');
    t.match((await make()).stdout, /Nothing to be done/, 'times are right: nothing is built again');
    await run('touch', [join(project, 'midl.h')]);
    t.match((await make()).stdout, /-c mdb\.c[\s\S]*liblmdb\.so/, 'what depends on a changed header is');
    const tested = await make('test');
    ok(tested, 'make test');
    t.match(tested.stdout, /Restarting cursor in txn[\s\S]*Entries: \d+/);

    const program = (name: string, args: string[], input = ''): Promise<CommandResult> => run(join(project, name), args, { input });
    const entries = await entriesOfTree('/usr/include');
    const [database, copy] = [join(mount.path, 'names'), join(mount.path, 'names-compact')];
    for (const folder of [database, copy]) await fs.mkdir(folder);
    ok(await program('mdb_load', ['-T', database], `${entries.join('\n')}\n`), 'mdb_load');
    ok(await program('mdb_copy', ['-c', database, copy]), 'mdb_copy');
    await mount.remount();
    for (const folder of [database, copy]) {
      const dump = await program('mdb_dump', ['-p', folder]);
      ok(dump, 'mdb_dump');
      t.strictSame(entriesOfDump(dump.stdout), entries, 'what was loaded, after a new mount');
    }
    t.match((await program('mdb_stat', [copy])).stdout, `Entries: ${entries.length / 2}`);
  });

  t.test('git init, add, commit, fsck, clone', async (t) => {
    const repository = join(mount.path, 'repository');
    const git = (...args: string[]): Promise<CommandResult> =>
      run('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args]);
    await fs.mkdir(repository);
    ok(await git('init', '-q'), 'init');
    ok(await run('cp', ['-r', '/usr/include/linux', repository]), 'cp');
    ok(await git('add', '.'), 'add');
    ok(await git('commit', '-q', '-m', 'all'), 'commit');
    ok(await git('gc', '-q'), 'gc');
    ok(await git('fsck', '--full', '--strict'), 'fsck');
    t.equal((await git('status', '--porcelain')).stdout, '');
    ok(await run('git', ['clone', '-q', repository, join(mount.path, 'clone')]), 'clone');
    ok(await run('diff', ['-r', join(repository, 'linux'), join(mount.path, 'clone', 'linux')]), 'diff');
  });

  t.test('fio verifies random 4 KiB and 1 MiB blocks', async () => {
    for (const [size, block, direct] of [
      ['64m', '4k', 0],
      ['64m', '4k', 1],
      ['256m', '1m', 0],
      ['256m', '1m', 1],
    ] as const) {
      const args = [
        '--name=verify',
        `--filename=${join(mount.path, `fio-${block}-${direct}`)}`,
        '--rw=randwrite',
        `--bs=${block}`,
        `--size=${size}`,
        `--direct=${direct}`,
        '--ioengine=libaio',
        '--iodepth=16',
        '--verify=crc32c',
        '--do_verify=1',
        '--verify_fatal=1',
        '--randrepeat=0',
        '--end_fsync=1',
        '--verify_state_save=0', // nothing is left in the current folder
      ];
      ok(await run('fio', args), `fio ${block} direct=${direct}`);
    }
  });

  t.test('SQLite: what was committed survives a crash of the writer and of the mount', async (t) => {
    const database = join(mount.path, 'data.db');
    const sql = (text: string): Promise<CommandResult> => run('sqlite3', [database], { input: text });
    ok(await sql('PRAGMA synchronous=FULL; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);'), 'create');
    const writer = spawn('sqlite3', [database], { stdio: ['pipe', 'pipe', 'ignore'] });
    let acknowledged = 0;
    writer.stdout.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) if (line !== '') acknowledged = Math.max(acknowledged, Number(line));
    });
    writer.stdin.on('error', () => {});
    writer.stdin.write('PRAGMA synchronous=FULL;\n');
    for (let i = 1; i <= 2000; i++) writer.stdin.write(`INSERT INTO t VALUES(${i}, hex(randomblob(200)));\nSELECT ${i};\n`);
    while (acknowledged < 30 && writer.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
    mount.daemon.signal('SIGKILL');
    const gone = once(writer, 'exit');
    writer.kill('SIGKILL');
    await gone;
    await mount.abandon();
    await mount.start();
    t.equal((await sql('PRAGMA integrity_check;')).stdout.trim(), 'ok');
    const count = Number((await sql('SELECT count(*) FROM t;')).stdout.trim());
    t.ok(count >= acknowledged, `${acknowledged} were acknowledged, ${count} are there`);
    ok(await sql('INSERT INTO t(v) VALUES("after");'), 'and it goes on');
  });
});
