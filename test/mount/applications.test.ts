/** Programs that people run in a file system: a C build, git, SQLite with a crash, fio with verification. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type CommandResult, type Mount, run, TestCluster } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';

t.test('applications in the mount', { ...needs('root', 'fuse', 'cc', 'make', 'git', 'sqlite3', 'fio'), timeout: 600_000 }, async (t) => {
  const cluster = await TestCluster.start(t);
  const mount: Mount = await cluster.mount();
  const ok = (result: CommandResult, what: string): boolean => t.equal(result.code, 0, `${what}: ${result.stderr.slice(-500)}`);

  t.test('a C project is configured, built in parallel, run', async (t) => {
    const project = join(mount.path, 'project');
    await fs.mkdir(project);
    const modules = Array.from({ length: 24 }, (_, i) => `m${i}`);
    for (const [i, name] of modules.entries()) {
      await fs.writeFile(
        join(project, `${name}.c`),
        `#include <stdio.h>\n#include <math.h>\n#include "all.h"\nint ${name}(int x) { return x + ${i} + (int)sqrt(0.0); }\n`,
      );
    }
    await fs.writeFile(join(project, 'all.h'), modules.map((name) => `int ${name}(int);`).join('\n'));
    await fs.writeFile(
      join(project, 'main.c'),
      `#include <stdio.h>\n#include "all.h"\nint main(void) { int x = 0; ${modules.map((name) => `x = ${name}(x);`).join(' ')} printf("%d\\n", x); return 0; }\n`,
    );
    await fs.writeFile(
      join(project, 'Makefile'),
      `OBJECTS = main.o ${modules.map((name) => `${name}.o`).join(' ')}\nprogram: $(OBJECTS)\n\t$(CC) -o $@ $^ -lm\n%.o: %.c all.h\n\t$(CC) -c -g -o $@ $<\n`,
    );
    ok(await run('make', ['-j2', '-C', project]), 'make');
    t.equal((await run(join(project, 'program'), [])).stdout.trim(), String((23 * 24) / 2));
    const again = await run('make', ['-C', project]);
    t.match(again.stdout, /up to date/, 'times are right: nothing is built again');
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
