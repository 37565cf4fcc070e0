/** The shape of an operation; how it is run, retried and logged is service.ts. */
import type { Fid } from '../../wire/fid.js';
import type { meta, RequestOf, ResponseOf } from '../../wire/messages.js';
import type { MetaState } from '../state.js';
import type { CallOrigin } from '../types.js';

export type MetaName = keyof typeof meta;
export type Request<Name extends MetaName> = RequestOf<(typeof meta)[Name]>;
export type Response<Name extends MetaName> = ResponseOf<(typeof meta)[Name]>;

/** Changes nothing. */
export type Read<Name extends MetaName> = (
  state: MetaState,
  request: Request<Name>,
  origin: CallOrigin,
) => Response<Name> | Promise<Response<Name>>;

export interface Change<Name extends MetaName> {
  /**
   * What must be waited for before the change; the result runs after it, whatever became of it. undefined: nothing.
   * It calls `proceed` when it has waited its turn and before it does anything: that throws when the caller has
   * given the request up meanwhile. After that the change is made in any case.
   */
  before?(state: MetaState, request: Request<Name>, proceed: () => void): Promise<() => void> | undefined;
  /** The directories whose entries or attributes it changes: what other clients' leases on them must end before. */
  directories?(state: MetaState, request: Request<Name>): readonly Fid[];
  /** The change, as one transaction. */
  apply(state: MetaState, request: Request<Name>, origin: CallOrigin): Response<Name>;
  /** Puts into the answer the leases that the caller wants. Not part of a stored answer: that may go out much later. */
  lease?(state: MetaState, request: Request<Name>, response: Response<Name>, origin: CallOrigin): void;
  /** What the answer must wait for after the change, also when it is a stored one. */
  after?(state: MetaState, request: Request<Name>): Promise<void> | undefined;
  /** The answer goes out again: repeats what only memory knows. */
  repeated?(state: MetaState, request: Request<Name>, response: Response<Name>, origin: CallOrigin): void;
}
