/** What a run of `ibex rdma bench` does, as its two ends tell each other. Pure. */
import type { RemoteMemory } from '../../rdma/index.js';

export const benchOperations = ['write', 'read', 'send'] as const;
export type BenchOperation = (typeof benchOperations)[number];

export interface BenchPlan {
  readonly operation: BenchOperation;
  readonly bytes: number;
  readonly iterations: number;
  readonly depth: number;
  /** Round trips for the latencies. */
  readonly roundTrips: number;
}

/** What the listening end lets the other read and write. */
export interface BenchGrant {
  readonly memory: RemoteMemory;
}

export const BENCH_PORT = 7430;
export const BYTES_MAX = 2 ** 20;
export const DEPTH_MAX = 1024;
export const ITERATIONS_MAX = 10_000_000;
/** Of messages and round trips: what else is in one is the immediate. */
export const ROUND_TRIPS_MAX = 10_000;
/** Operations of different places in memory, as far as they fit. */
const WINDOW_BYTES_MAX = 16 * 2 ** 20;

const isWhole = (value: unknown, largest: number): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= largest;

/** What a client sent, if it can be. */
export function checkPlan(value: unknown): BenchPlan | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { operation, bytes, iterations, depth, roundTrips } = value as Record<string, unknown>;
  const known = benchOperations.find((name) => name === operation);
  const fits = isWhole(bytes, BYTES_MAX) && isWhole(iterations, ITERATIONS_MAX) && isWhole(depth, DEPTH_MAX);
  if (known === undefined || !fits || !isWhole(roundTrips, ROUND_TRIPS_MAX)) return undefined;
  return { operation: known, bytes, iterations, depth, roundTrips };
}

/** Places of one operation each that the run goes through in turn. */
export function placesOf({ bytes, depth }: BenchPlan): number {
  return Math.max(1, Math.min(depth, Math.floor(WINDOW_BYTES_MAX / bytes)));
}

/** Places begin at cache lines. */
export function strideOf({ bytes }: BenchPlan): number {
  return Math.ceil(bytes / 64) * 64;
}

/** As many again of something, before what is measured: JavaScript that ran only a few times is slow. */
export function warmUpOf(count: number): number {
  return Math.ceil(count / 4);
}

/** Operations of one submission: half of what may be on the way, so that the queue never runs empty. */
export function batchOf({ depth }: BenchPlan): number {
  return Math.max(1, Math.floor(depth / 2));
}

export interface Latencies {
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Of samples in microseconds. */
export function latenciesOf(samples: Float64Array): Latencies {
  const sorted = Float64Array.from(samples).sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { min: at(0), p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) };
}
