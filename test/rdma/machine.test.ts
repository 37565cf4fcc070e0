/** The machine of test/rxe itself: an RDMA device that moves data, and FUSE. */
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { run } from '../cluster/cluster.js';
import { needs } from '../support/capabilities.js';
import { counter, DEVICE, GID_INDEX, released, resources } from './device.js';
import { runPair } from './pair.js';

const port = (name: string): Promise<string> => readFile(`/sys/class/infiniband/${DEVICE}/ports/1/${name}`, 'utf8');

t.test('the device is up and has a RoCE v2 GID for its address', needs('rdma'), async (t) => {
  t.match(await port('state'), 'ACTIVE');
  t.match(await port(`gid_attrs/types/${GID_INDEX}`), 'RoCE v2');
  t.equal((await port(`gids/${GID_INDEX}`)).trim(), '0000:0000:0000:0000:0000:ffff:0a4d:0001');
  const { code, stdout } = await run('ibv_devinfo', ['-d', DEVICE]);
  t.equal(code, 0);
  t.match(stdout, /PORT_ACTIVE/);
  t.match(stdout, /active_mtu:\s+4096/);
});

t.test('messages arrive as they were sent, and nothing stays in use', needs('rdma'), async (t) => {
  const before = await resources();
  const sent = await counter('sent_pkts');
  const output = await runPair('ibv_rc_pingpong', ['-d', DEVICE, '-g', GID_INDEX, '-m', '4096', '-s', '65536', '-n', '50', '-c'], 18_515);
  t.match(output, /50 iters in/);
  t.notMatch(output, /invalid data/);
  t.ok((await counter('sent_pkts')) - sent >= 2 * 50 * 16, 'each message is 16 packets');
  t.same(await released(before), before);
});

t.test('one-sided writes and reads', needs('rdma'), async (t) => {
  for (const program of ['ib_write_bw', 'ib_read_bw']) {
    const output = await runPair(program, ['-d', DEVICE, '-x', GID_INDEX, '-s', '65536', '-n', '100', '-F'], 18_516);
    const [, average] = /^\s*65536\s+100\s+\S+\s+(\S+)/m.exec(output) ?? [];
    t.ok(Number(average) > 0, `${program}: ${average} MiB/s`);
  }
});

t.test('FUSE is there', needs('fuse'), async (t) => {
  t.match(await readFile('/proc/filesystems', 'utf8'), /\tfuse\n/);
});
