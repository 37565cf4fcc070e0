/** Programs of rdma-core and perftest that run as a server and a client. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { run } from '../cluster/cluster.js';
import { DEVICE_ADDRESS } from './device.js';

const LISTENING_MS = 180_000;
const PAIR_MS = 120_000;
const LISTEN_STATE = '0A';

export interface Server {
  readonly output: () => string;
  /** Waits for its end; ends it when that takes too long. */
  ended(): Promise<number | string>;
  /** As Ctrl-C does. */
  interrupt(): void;
}

/** Whether a program on this machine listens on a TCP port. */
async function listens(port: number): Promise<boolean> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8')));
  return tables
    .flatMap((table) => table.split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .some(([, local = '', , state]) => state === LISTEN_STATE && local.endsWith(wanted));
}

/** Starts a server and waits until it listens. It is killed after `limitMs`, never when that is 0. */
export async function startServer(command: string, args: readonly string[], port: number, limitMs = PAIR_MS): Promise<Server> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: limitMs, killSignal: 'SIGKILL' });
  const chunks: Buffer[] = [];
  const output = (): string => Buffer.concat(chunks).toString();
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'killed'));
  });
  const deadline = performance.now() + LISTENING_MS;
  while (!(await listens(port))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`${command} does not listen on port ${port}: ${String(await ended)}\n${output()}`);
    }
    await pause(20);
  }
  return { output, ended: () => ended, interrupt: () => void child.kill('SIGINT') };
}

/** Runs a server and its client on this machine; gives what the client said. */
export async function runPair(command: string, args: readonly string[], port: number): Promise<string> {
  const all = [...args, '-p', String(port)];
  const server = await startServer(command, all, port);
  const client = await run(command, [...all, DEVICE_ADDRESS], { timeoutMs: PAIR_MS });
  const status = await server.ended();
  if (client.code !== 0 || status !== 0)
    throw new Error(`${command}: client ${client.code}, server ${status}\n${client.stdout}${client.stderr}\n${server.output()}`);
  return client.stdout;
}
