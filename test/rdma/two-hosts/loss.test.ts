/** Two machines on one wire that loses and reorders packets: every message arrives, and the device repairs what the wire broke. */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { run } from '../../cluster/cluster.js';
import { needs } from '../../support/capabilities.js';
import { counter, DEVICE, GID_INDEX, HOST_ADDRESSES } from '../device.js';
import { startServer } from '../pair.js';

const host = process.argv[2] ?? '';
const PORT = 18_517;
const CONNECTED_MS = 180_000;
const MESSAGES = 600;
const MESSAGE_BYTES = 65_536;
/** 4.096 us * 2^18, a second: the machines may stand still for long enough to run out of seven times the usual 67 ms. */
const ACK_TIMEOUT = '18';
/** 16 packets a message. */
const transfer = ['-d', DEVICE, '-x', GID_INDEX, '-F', '-s', `${MESSAGE_BYTES}`, '-n', `${MESSAGES}`, '-u', ACK_TIMEOUT, '-p', `${PORT}`];

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
async function sendAsClient(): Promise<string> {
  const deadline = performance.now() + CONNECTED_MS;
  for (;;) {
    const { code, stdout, stderr } = await run('ib_send_bw', [...transfer, HOST_ADDRESSES['1'] ?? ''], { timeoutMs: 200_000 });
    if (code === 0) return stdout;
    if (!/Couldn't connect/.test(stdout + stderr) || performance.now() > deadline)
      throw new Error(`ib_send_bw: ${code}\n${stdout}${stderr}`);
    await pause(200);
  }
}

async function receiveAsServer(): Promise<string> {
  const server = await startServer('ib_send_bw', transfer, PORT);
  const status = await server.ended();
  if (status !== 0) throw new Error(`ib_send_bw: ${status}\n${server.output()}`);
  return server.output();
}

t.test(`messages over a bad wire, host ${host}`, { ...needs('rdma', 'root'), timeout: 400_000 }, async (t) => {
  const made = await run('tc', ['qdisc', 'add', 'dev', 'eth0', 'root', 'netem', 'delay', '1ms', 'reorder', '98%', 'loss', '0.5%']);
  t.equal(made.code, 0, made.stderr);
  const output = await (host === '1' ? receiveAsServer() : sendAsClient());
  t.match(output, new RegExp(`^\\s*${MESSAGE_BYTES}\\s+${MESSAGES}\\s`, 'm'), 'all messages are in its table');
  const { drops, packets } = await queue();
  t.ok(packets > 0, `${packets} packets left this host`);
  if (host === '2') t.ok(drops > 0, `${drops} packets were lost on the way out`);
  const repaired = (await counter('duplicate_request')) + (await counter('out_of_seq_request')) + (await counter('rcvd_seq_err'));
  t.ok(repaired > 0, `${repaired} packets came again or too early`);
});
