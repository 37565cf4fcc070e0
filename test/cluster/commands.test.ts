/** The command line and the HTTP API against a real cluster. */
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { httpToken, readKeyFile } from '../../src/wire/key.js';
import { needs } from '../support/capabilities.js';
import { ibex, TestCluster } from './cluster.js';

t.test('every command on a cluster', { timeout: 180_000 }, async (t) => {
  const cluster = await TestCluster.start(t);
  const json = async (...args: string[]): Promise<unknown> => {
    const result = await cluster.ibex([...args, '--output', 'json']);
    t.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
    return JSON.parse(result.stdout);
  };
  const text = async (...args: string[]): Promise<string> => {
    const result = await cluster.ibex(args);
    t.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
    return result.stdout;
  };

  t.test('status, node list, target list, df', async (t) => {
    t.match(await text('status'), /5 of 5 online/);
    t.equal(((await json('node', 'list')) as unknown[]).length, 4);
    t.equal(((await json('target', 'list')) as unknown[]).length, 5);
    t.match(await text('df'), /GiB|TiB|MiB/);
  });

  t.test('cp, ls, cat, rm, entry info and set', async (t) => {
    const local = join(cluster.folder, 'local.txt');
    await fs.writeFile(local, 'x'.repeat(3_000_000));
    await text('cp', local, 'ibex:/a.txt');
    t.match(await text('ls', '-l', 'ibex:/'), /a\.txt/);
    t.equal((await text('cat', 'ibex:/a.txt')).length, 3_000_000);
    const info = (await json('entry', 'info', '/a.txt')) as { chunks: { target: number }[] };
    t.equal(new Set(info.chunks.map((chunk) => chunk.target)).size, 4, 'striped over four targets');
    await text('mkdir', '/narrow');
    await text('entry', 'set', '/narrow', '--stripe-size', '128k', '--stripe-count', '1');
    await text('cp', local, 'ibex:/narrow/b.txt');
    const narrow = (await json('entry', 'info', '/narrow/b.txt')) as { chunks: unknown[] };
    t.equal(narrow.chunks.length, 1, 'directories pass their layout on');
    const back = join(cluster.folder, 'back.txt');
    await text('cp', 'ibex:/narrow/b.txt', back);
    t.ok((await fs.readFile(back)).equals(await fs.readFile(local)));
    await text('rm', 'ibex:/a.txt');
    await text('rm', '-r', 'ibex:/narrow');
    t.equal((await text('ls', 'ibex:/')).trim(), '');
  });

  t.test('mirror groups, and directories that ask for them', async (t) => {
    t.match(await text('mirror', 'list'), /no groups/);
    const { pairs } = (await json('mirror', 'autocreate', '--dry-run')) as { pairs: { primary: number; secondary: number }[] };
    t.equal(pairs.length, 2, 'four targets on two nodes');
    const [first] = pairs as [{ primary: number; secondary: number }];
    const targets = (await json('target', 'list', '--kind', 'storage')) as { id: number; node: number }[];
    const neighbour = targets.find(
      ({ id, node }) => id !== first.primary && node === targets.find((other) => other.id === first.primary)?.node,
    );
    const create = ['mirror', 'create', '--primary', String(first.primary), '--secondary'];
    const refusedPair = await cluster.ibex([...create, String(neighbour?.id)]);
    t.equal(refusedPair.code, 1);
    t.match(refusedPair.stderr, /both on node/);
    await text(...create, String(first.secondary), '--alias', 'fast');
    t.match(await text('mirror', 'autocreate'), /PRIMARY/);
    const groups = (await json('mirror', 'list')) as { alias: string; epoch: number }[];
    t.equal(groups.length, 2);
    t.match(groups, [{ alias: 'fast', epoch: 1, secondary: { target: first.secondary, consistency: 'good' } }]);
    t.match(await text('status'), /mirror groups +2 of 2 with two good copies/);
    t.equal((await cluster.ibex(['mirror', 'delete', 'none'])).code, 4);

    await text('mkdir', '/safe');
    t.match(await text('entry', 'set', '/safe', '--pattern', 'mirror'), /mirror groups/);
    t.match(await json('entry', 'info', '/safe'), { layout: { pattern: 'mirror' } });
    const refused = await cluster.ibex(['cp', cluster.keyFile, 'ibex:/safe/file']);
    t.equal(refused.code, 1);
    t.match(refused.stderr, /mirrored files cannot be written yet/);
    await text('entry', 'set', '/safe', '--pattern', 'plain');
    await text('cp', cluster.keyFile, 'ibex:/safe/file');
    await text('rm', '-r', '/safe');
    await cluster.mgmtd.kill();
    cluster.mgmtd.start();
    await cluster.ready();
    t.equal(((await json('mirror', 'list')) as unknown[]).length, 2, 'kept over a restart of mgmtd');
    await text('mirror', 'delete', 'fast');
    t.equal(((await json('mirror', 'list')) as unknown[]).length, 1);
  });

  t.test('exit codes that scripts can trust', async (t) => {
    t.equal((await cluster.ibex(['cat', 'ibex:/missing'])).code, 4);
    t.equal((await cluster.ibex(['ls', '--no-such-flag'])).code, 2);
    t.equal((await ibex(['status', '--mgmtd', '127.0.0.1:1', '--key-file', cluster.keyFile])).code, 3);
    const wrong = join(cluster.folder, 'wrong-key');
    t.equal((await ibex(['key', 'generate', wrong])).code, 0);
    const refused = await ibex(['status', '--mgmtd', cluster.address, '--key-file', wrong]);
    t.equal(refused.code, 5);
    t.equal(refused.stderr.trim().split('\n').length, 1, refused.stderr);
  });

  t.test('HTTP API: token, JSON, metrics, OpenAPI', async (t) => {
    const base = `http://127.0.0.1:${cluster.httpPort}`;
    const token = httpToken(await readKeyFile(cluster.keyFile));
    const get = (path: string, authorization = `Bearer ${token}`): Promise<Response> =>
      fetch(`${base}${path}`, { headers: { authorization } });
    t.equal((await fetch(`${base}/api/v1/nodes`)).status, 401);
    t.equal((await get('/api/v1/nodes', 'Bearer wrong')).status, 401);
    t.equal((await fetch(`${base}/health`)).status, 200);
    for (const path of ['/api/v1/status', '/api/v1/nodes', '/api/v1/targets', '/api/v1/groups', '/api/v1/map']) {
      const answer = await get(path);
      t.equal(answer.status, 200, path);
      t.ok(await answer.json(), path);
    }
    const metrics = await (await get('/metrics')).text();
    t.match(metrics, /^# TYPE ibex_/m);
    t.match(metrics, /^ibex_node_carrier_bytes_total\{node="\d+",carrier="tcp",direction="sent"\} [1-9]/m);
    t.match(await (await get('/openapi.json')).json(), { openapi: /^3\./ });
  });
});

t.test('mount and umount', { ...needs('root', 'fuse'), timeout: 120_000 }, async (t) => {
  const cluster = await TestCluster.start(t);
  const path = join(cluster.folder, 'by-command');
  await fs.mkdir(path);
  const mounted = await cluster.ibex(['mount', path, '--background']);
  t.equal(mounted.code, 0, mounted.stderr);
  t.teardown(() => ibex(['umount', path]));
  await fs.writeFile(join(path, 'file'), 'text');
  const info = await cluster.ibex(['entry', 'info', join(path, 'file'), '--output', 'json']);
  t.equal(info.code, 0, info.stderr);
  t.equal((await ibex(['umount', path])).code, 0);
  t.notMatch(await fs.readFile('/proc/self/mountinfo', 'utf8'), ` ${path} `);
  t.equal((await cluster.ibex(['cat', 'ibex:/file'])).stdout, 'text');
});
