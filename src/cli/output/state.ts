/** Colours of the states of nodes and targets. */
import pc from 'picocolors';
import type { Consistency, Reachability } from '../../wire/cluster-map.js';

export function paintReachability(text: string, state: Reachability): string {
  return state === 'online' ? pc.green(text) : state === 'offline' ? pc.red(text) : pc.yellow(text);
}

export function paintConsistency(text: string, state: Consistency): string {
  return state === 'good' ? pc.green(text) : state === 'bad' ? pc.red(text) : pc.yellow(text);
}
