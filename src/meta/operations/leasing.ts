/** Which directories a change needs for itself, and the leases that its caller gets with the answer. */
import type { Fid } from '../../wire/fid.js';
import type { MetaState } from '../state.js';
import type { CallOrigin } from '../types.js';

interface InParent {
  readonly parent: Fid;
  readonly lease?: boolean | undefined;
}

export function parentOnly(_state: MetaState, { parent }: InParent): readonly Fid[] {
  return [parent];
}

export function itself(_state: MetaState, { fid }: { readonly fid: Fid }): readonly Fid[] {
  return [fid];
}

/** The caller may go on answering for the directory that it has changed. */
export function leaseOnParent(state: MetaState, { parent, lease }: InParent, response: { leaseMs?: number }, origin: CallOrigin): void {
  if (lease !== true) return;
  const leaseMs = state.leases.grant(parent, origin.clientId, 'changed');
  if (leaseMs !== undefined) response.leaseMs = leaseMs;
}

/** The same for a second directory. */
export function leaseOnSecond(state: MetaState, directory: Fid, response: { newLeaseMs?: number }, { clientId }: CallOrigin): void {
  const leaseMs = state.leases.grant(directory, clientId, 'changed');
  if (leaseMs !== undefined) response.newLeaseMs = leaseMs;
}

/** The caller may go on answering for the directory that it has read. */
export function leaseToReader(state: MetaState, directory: Fid, response: { leaseMs?: number }, { clientId }: CallOrigin): void {
  const leaseMs = state.leases.grant(directory, clientId, 'read');
  if (leaseMs !== undefined) response.leaseMs = leaseMs;
}
