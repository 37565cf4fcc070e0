/** How an arena of `ibex rdma bench` is used: the two messages of the round trips, then the places of the operations. */
import type { Arena } from '../../rdma/index.js';
import { type BenchPlan, placesOf, strideOf } from './bench-plan.js';

export const arenaBytes = (plan: BenchPlan): number => (2 + placesOf(plan)) * strideOf(plan);
export const inbox = (arena: Arena, plan: BenchPlan): Uint8Array => arena.bytes.subarray(0, plan.bytes);
export const outbox = (arena: Arena, plan: BenchPlan): Uint8Array => arena.bytes.subarray(strideOf(plan), strideOf(plan) + plan.bytes);

/** Where the operation with this number has its bytes, at both ends. */
export const offsetOf = (plan: BenchPlan, index: number): number => (2 + (index % placesOf(plan))) * strideOf(plan);
