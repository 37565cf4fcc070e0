/** Two queue pairs of this process, connected with each other, and the count of what must be gone after each test. */
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Test } from 'tap';
import {
  type Arena,
  type ArenaOptions,
  type CompletionQueue,
  type Device,
  type LiveObjects,
  liveObjects,
  openDevice,
  type ProtectionDomain,
  type QueuePair,
  type QueuePairOptions,
} from '../../src/rdma/index.js';
import { needs } from '../support/capabilities.js';

const RELEASED_MS = 10_000;

setFlagsFromString('--expose-gc');
/** Collects garbage now. */
export const collectGarbage = runInNewContext('gc') as () => void;

export const allRights = { remoteRead: true, remoteWrite: true, remoteAtomic: true } as const;
/** Enough for every test; with it each of two sides has half a page to spare. */
export const ARENA_BYTES = 4 * 2 ** 20;

export interface Side {
  readonly arena: Arena;
  readonly queuePair: QueuePair;
}

export interface Pair {
  readonly device: Device;
  readonly domain: ProtectionDomain;
  readonly queue: CompletionQueue;
  readonly left: Side;
  readonly right: Side;
  close(): Promise<void>;
}

/** Two ends on one completion queue, connected. What it made is closed by the test's end at the latest. */
export function makePair(t: Test, options: QueuePairOptions = {}, arenaOptions: ArenaOptions = allRights): Pair {
  const device = openDevice();
  const domain = device.createProtectionDomain();
  const queue = device.createCompletionQueue();
  const side = (): Side => ({
    arena: domain.createArena(ARENA_BYTES, arenaOptions),
    queuePair: domain.createQueuePair(queue, { ...allRights, ...options }),
  });
  const [left, right] = [side(), side()];
  left.queuePair.connect(right.queuePair.descriptor);
  right.queuePair.connect(left.queuePair.descriptor);
  const close = async (): Promise<void> => {
    await queue.close();
    left.arena.close();
    right.arena.close();
    domain.close();
    device.close();
  };
  t.teardown(close);
  return { device, domain, queue, left, right, close };
}

/** Objects that exist, without what only ever rises. */
function living({ registrations: _registrations, leaks: _leaks, ...counts }: LiveObjects): object {
  return counts;
}

/** Waits until everything is gone again; garbage is collected meanwhile. */
export async function expectNothingLeft(t: Test): Promise<void> {
  const deadline = performance.now() + RELEASED_MS;
  const isClean = (): boolean => Object.values(living(liveObjects())).every((count) => count === 0);
  while (!isClean() && performance.now() < deadline) {
    collectGarbage();
    await pause(10);
  }
  t.match(living(liveObjects()), {
    devices: 0,
    protectionDomains: 0,
    memoryRegions: 0,
    registeredBytes: 0,
    completionChannels: 0,
    completionQueues: 0,
    queuePairs: 0,
  });
  t.equal(liveObjects().leaks, 0, 'the device destroyed everything');
}

/** Runs a test and then checks that it left nothing. */
export function deviceTest(t: Test, name: string, body: (t: Test) => Promise<void>): void {
  t.test(name, { ...needs('rdma'), timeout: 120_000 }, async (outer) => {
    await outer.test('body', body);
    await expectNothingLeft(outer);
  });
}

export function filled(view: Uint8Array, seed: number): Uint8Array {
  for (let i = 0; i < view.length; i++) view[i] = (i * 31 + seed) & 0xff;
  return view;
}

/** tap's own comparison looks at each byte by itself, which takes minutes. */
export function sameBytes(t: Test, found: Uint8Array, wanted: Uint8Array): void {
  t.ok(Buffer.compare(found, wanted) === 0, `${wanted.length} bytes are the same`);
}

/** The RdmaError that a promise rejects with, as its plain fields. */
export async function errorOf(promise: Promise<unknown>): Promise<Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    const { code, message, verb, device, port, peer, queuePair, completionStatus, errno, kind } = error as Record<string, unknown>;
    return { code, message, verb, device, port, peer, queuePair, completionStatus, errno, kind };
  }
  throw new Error('it did not fail');
}
