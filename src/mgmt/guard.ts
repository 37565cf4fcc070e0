/**
 * Who may register as what: pure decisions from facts, so that every case stands in a table of the tests.
 * They keep a wrong, foreign or cloned disk from being taken for a target.
 */
import type { NodeKind, TargetKind } from '../wire/cluster-map.js';
import { type ErrorCode, IbexError } from '../wire/errors.js';
import type { NodeId, TargetId } from '../wire/fid.js';

export interface Refusal {
  readonly verdict: 'refuse';
  readonly error: ErrorCode;
  readonly reason: string;
}

const refuse = (error: ErrorCode, reason: string): Refusal => ({ verdict: 'refuse', error, reason });

export function refusalError(refusal: Refusal): IbexError {
  return new IbexError(refusal.error, refusal.reason);
}

export interface NodeFacts {
  readonly uuid: string;
  readonly kind: TargetKind;
  /** What the session's handshake said; it is authenticated. */
  readonly peerKind: string;
  readonly known?: { readonly id: NodeId; readonly kind: NodeKind } | undefined;
  /** Another open session that is this node and from which heartbeats still come. */
  readonly liveElsewhere?: { readonly sameProcess: boolean; readonly address: string } | undefined;
  /** The node that has the wanted alias, if it is another. */
  readonly aliasOwner?: NodeId | undefined;
  readonly alias?: string | undefined;
}

export type NodeVerdict = Refusal | { readonly verdict: 'new' } | { readonly verdict: 'known'; readonly id: NodeId };

export function decideNode(facts: NodeFacts): NodeVerdict {
  if (facts.peerKind !== facts.kind)
    return refuse('ERR_NOT_PERMITTED', `a ${facts.peerKind} process cannot register as a ${facts.kind} node`);
  if (!/^[0-9a-f-]{36}$/.test(facts.uuid)) return refuse('ERR_INVALID', 'node uuid is not 36 characters of hex and "-"');
  if (facts.aliasOwner !== undefined)
    return refuse('ERR_EXISTS', `alias "${facts.alias}" belongs to node ${facts.aliasOwner}; configure another one`);
  if (facts.known === undefined) return { verdict: 'new' };
  if (facts.known.kind !== facts.kind)
    return refuse('ERR_INVALID', `node ${facts.known.id} is a ${facts.known.kind} node; configure another data folder for ${facts.kind}`);
  if (facts.liveElsewhere !== undefined && !facts.liveElsewhere.sameProcess) {
    return refuse(
      'ERR_TRY_AGAIN',
      `node ${facts.known.id} is alive at ${facts.liveElsewhere.address}; if that is another machine, its data folder was copied: give each node its own`,
    );
  }
  return { verdict: 'known', id: facts.known.id };
}

export interface TargetFacts {
  readonly kind: TargetKind;
  /** What the folder says of itself. */
  readonly target?: TargetId | undefined;
  readonly token?: string | undefined;
  readonly clusterId?: string | undefined;
  readonly ownClusterId: string;
  /** The node that this session has registered as. */
  readonly caller?: { readonly id: NodeId; readonly kind: NodeKind } | undefined;
  /** What mgmtd knows of `target`. */
  readonly known?: { readonly kind: TargetKind; readonly token: string; readonly node: NodeId } | undefined;
  /** For a folder that has no id yet: the target that was made for its token. */
  readonly madeForToken?: { readonly id: TargetId; readonly kind: TargetKind; readonly node: NodeId } | undefined;
  /** The node on whose open session the target is alive now, if that is not the caller. */
  readonly liveOn?: NodeId | undefined;
}

export type TargetVerdict =
  | Refusal
  | { readonly verdict: 'new' }
  | { readonly verdict: 'known'; readonly id: TargetId }
  | { readonly verdict: 'moved'; readonly id: TargetId; readonly from: NodeId };

export function decideTarget(facts: TargetFacts): TargetVerdict {
  const { caller, target, known } = facts;
  if (caller === undefined) return refuse('ERR_NOT_REGISTERED', 'register the node before its targets');
  if (caller.kind !== facts.kind) return refuse('ERR_INVALID', `a ${caller.kind} node cannot have a ${facts.kind} target`);
  if (facts.clusterId !== undefined && facts.clusterId !== facts.ownClusterId) {
    return refuse(
      'ERR_WRONG_DISK',
      `folder belongs to cluster ${facts.clusterId}, this is ${facts.ownClusterId}; mount the right disk or configure an empty folder`,
    );
  }
  if (target === undefined) return decideUnnumbered(facts);
  if (facts.token === undefined) return refuse('ERR_WRONG_DISK', `folder names target ${target} but has no token; restore its target.json`);
  if (known === undefined)
    return refuse(
      'ERR_WRONG_DISK',
      `target ${target} is unknown here; was mgmtd's data folder replaced? Restore it, or configure an empty folder`,
    );
  if (known.kind !== facts.kind) return refuse('ERR_WRONG_DISK', `target ${target} is a ${known.kind} target, not a ${facts.kind} target`);
  if (known.token !== facts.token)
    return refuse('ERR_WRONG_DISK', `folder's token is not that of target ${target}; it is a forged or mixed-up disk`);
  if (facts.liveOn !== undefined) {
    return refuse(
      'ERR_WRONG_DISK',
      `target ${target} is alive on node ${facts.liveOn}; this folder is a copy of it: configure an empty folder`,
    );
  }
  return known.node === caller.id ? { verdict: 'known', id: target } : { verdict: 'moved', id: target, from: known.node };
}

function decideUnnumbered(facts: TargetFacts): TargetVerdict {
  if (facts.clusterId !== undefined) return refuse('ERR_WRONG_DISK', 'folder names a cluster but no target; restore its target.json');
  const { madeForToken } = facts;
  if (madeForToken === undefined) return { verdict: 'new' };
  if (madeForToken.kind !== facts.kind) return refuse('ERR_WRONG_DISK', `token belongs to ${madeForToken.kind} target ${madeForToken.id}`);
  if (facts.liveOn !== undefined)
    return refuse(
      'ERR_WRONG_DISK',
      `target ${madeForToken.id} with this token is alive on node ${facts.liveOn}; this folder is a copy of it`,
    );
  if (madeForToken.node !== facts.caller?.id)
    return refuse(
      'ERR_WRONG_DISK',
      `target ${madeForToken.id} with this token is on node ${madeForToken.node}; this folder is a copy of it: configure an empty folder`,
    );
  // The answer to its first registration was lost before the folder could keep it; the same node tries again.
  return { verdict: 'known', id: madeForToken.id };
}
