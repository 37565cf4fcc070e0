/** The RDMA device of the machine that a test runs on, and what of it is in use. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

export const DEVICE = 'rxe0';
/** Its address in a machine of test/rxe that is alone, and in each of two on one wire. */
export const DEVICE_ADDRESS = '10.77.0.1';
export const HOST_ADDRESSES: Readonly<Record<string, string>> = { 1: '10.78.0.1', 2: '10.78.0.2' };
/** The index of the GID that stands for the device's IPv4 address: 0 is link-local. */
export const GID_INDEX = '1';

const RELEASED_MS = 20_000;

export interface Resources {
  readonly pd: number;
  readonly cq: number;
  readonly qp: number;
  readonly mr: number;
}

/** Protection domains, completion queues, queue pairs and memory regions that exist now, the kernel's own among them. */
export async function resources(): Promise<Resources> {
  const { stdout } = await promisify(execFile)('rdma', ['-j', 'resource', 'show']);
  const all = JSON.parse(stdout) as (Resources & { ifname: string })[];
  const own = all.find((entry) => entry.ifname === DEVICE);
  if (own === undefined) throw new Error(`no ${DEVICE} in ${stdout}`);
  return { pd: own.pd, cq: own.cq, qp: own.qp, mr: own.mr };
}

/** Waits until as much is in use as `before`: the kernel takes a moment to destroy what a dead process had. */
export async function released(before: Resources): Promise<Resources> {
  const deadline = performance.now() + RELEASED_MS;
  for (;;) {
    const now = await resources();
    if (JSON.stringify(now) === JSON.stringify(before) || performance.now() > deadline) return now;
    await pause(50);
  }
}

/** A counter of the device's port, such as `duplicate_request`. */
export async function counter(name: string): Promise<number> {
  return Number(await readFile(`/sys/class/infiniband/${DEVICE}/ports/1/hw_counters/${name}`, 'utf8'));
}
