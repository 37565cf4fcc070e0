/** Two machines on one wire that loses and reorders packets: what arrives is still what was sent. */
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { run } from '../../cluster/cluster.js';
import { needs } from '../../support/capabilities.js';
import { counter, DEVICE, GID_INDEX, HOST_ADDRESSES } from '../device.js';
import { startServer } from '../pair.js';

const host = process.argv[2] ?? '';
const PORT = 18_517;
const CONNECTED_MS = 60_000;
const ROUNDS = 500;
const MESSAGE = 65_536;
/** Some 8,000 packets each way. */
const arguments_ = ['-d', DEVICE, '-g', GID_INDEX, '-m', '4096', '-s', `${MESSAGE}`, '-n', `${ROUNDS}`, '-c', '-p', `${PORT}`];

interface Queue {
  readonly drops: number;
  readonly packets: number;
}

async function queue(): Promise<Queue> {
  const { stdout } = await run('tc', ['-s', '-j', 'qdisc', 'show', 'dev', 'eth0']);
  const [first] = JSON.parse(stdout) as Queue[];
  if (first === undefined) throw new Error(`no queue: ${stdout}`);
  return first;
}

/** The other machine boots meanwhile: its server may not be there yet. */
async function pingPongAsClient(): Promise<string> {
  const deadline = performance.now() + CONNECTED_MS;
  for (;;) {
    const { code, stdout, stderr } = await run('ibv_rc_pingpong', [...arguments_, HOST_ADDRESSES['1'] ?? ''], { timeoutMs: 200_000 });
    if (code === 0) return stdout;
    if (!/Couldn't connect/.test(stderr) || performance.now() > deadline) throw new Error(`ibv_rc_pingpong: ${code}\n${stdout}${stderr}`);
    await pause(200);
  }
}

async function pingPongAsServer(t: Test): Promise<string> {
  const server = await startServer('ibv_rc_pingpong', arguments_, PORT);
  t.equal(await server.ended(), 0, server.output());
  return server.output();
}

t.test(`messages over a bad wire, host ${host}`, { ...needs('rdma', 'root'), timeout: 300_000 }, async (t) => {
  const made = await run('tc', ['qdisc', 'add', 'dev', 'eth0', 'root', 'netem', 'delay', '1ms', 'reorder', '98%', 'loss', '0.3%']);
  t.equal(made.code, 0, made.stderr);
  const output = await (host === '1' ? pingPongAsServer(t) : pingPongAsClient());
  t.match(output, new RegExp(`${ROUNDS} iters in`));
  t.notMatch(output, /invalid data/);
  const { drops, packets } = await queue();
  t.ok(packets > ROUNDS, `${packets} packets left this host`);
  t.ok(drops > 0, `${drops} packets were lost on the way out`);
  const repaired = (await counter('duplicate_request')) + (await counter('out_of_seq_request')) + (await counter('rcvd_seq_err'));
  t.ok(repaired > 0, `${repaired} packets came again or too early`);
});
