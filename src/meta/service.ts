/**
 * Runs operations: stored answers for retries, one transaction each, waiting where chunks or the disk must be
 * waited for. No network: whoever serves it calls the handlers of a batch and then `commit`, in one turn of the
 * event loop, and sends the answers only afterwards.
 *
 * Permission bits are kept, not enforced: that is the business of the mount's kernel (default_permissions).
 */
import { IbexError } from '../wire/errors.js';
import { type Message, meta } from '../wire/messages.js';
import type { Answers } from './answers.js';
import { changes, reads } from './operations/index.js';
import type { Change, MetaName, Read, Request, Response } from './operations/operation.js';
import { statisticsOf } from './operations/target.js';
import type { Remover } from './remover.js';
import type { MetaState } from './state.js';
import type { CallOrigin, MetaHandlers, MetaService } from './types.js';
import { unlessEnded } from './unless-ended.js';

/** A change that waits: a retry of it waits along instead of starting it again. */
interface Underway {
  readonly sequence: number;
  readonly response: Promise<unknown>;
}

/** What a change waits for before it is made. */
interface Obstacles {
  /** Its own `before`. */
  readonly waits: Promise<() => void> | undefined;
  /** Leases of other clients; asked for when that is over. */
  readonly leases: Promise<unknown> | undefined;
  /** Throws when the caller has given the request up. */
  readonly proceed: () => void;
}

export class Service implements MetaService {
  readonly handlers: MetaHandlers;
  readonly #state: MetaState;
  readonly #answers: Answers;
  readonly #remover: Remover;
  readonly #underway = new Map<string, Underway>();

  constructor(state: MetaState, answers: Answers, remover: Remover) {
    this.#state = state;
    this.#answers = answers;
    this.#remover = remover;
    const handlers: Record<string, unknown> = {};
    for (const [name, read] of Object.entries(reads)) {
      handlers[name] = (request: never, origin: CallOrigin) => {
        state.operations++;
        return (read as Read<MetaName>)(state, request, origin);
      };
    }
    for (const [name, change] of Object.entries(changes)) {
      const message = meta[name as MetaName] as Message;
      handlers[name] = (request: never, origin: CallOrigin) => {
        state.operations++;
        return this.#change(message, change as unknown as Change<MetaName>, request, origin);
      };
    }
    this.handlers = handlers as unknown as MetaHandlers;
  }

  commit(): void | Promise<void> {
    const waits = this.#state.store.commit();
    this.#remover.wake();
    return waits;
  }

  clientOpened(clientId: string): void {
    this.#state.opens.clientOpened(clientId);
    this.#answers.clientOpened(clientId);
  }

  clientClosed(clientId: string): void {
    this.#state.opens.clientClosed(clientId);
    this.#answers.clientClosed(clientId);
  }

  mapChanged(): void {
    this.#remover.mapChanged(this.#state.map());
  }

  statistics(): Response<'statistics'> {
    return statisticsOf(this.#state);
  }

  /** Settles when no change waits any more; for a clean end. */
  async idle(): Promise<void> {
    await Promise.allSettled([...this.#underway.values()].map(({ response }) => response));
  }

  #change<Name extends MetaName>(
    message: Message,
    change: Change<Name>,
    request: Request<Name>,
    origin: CallOrigin,
  ): Response<Name> | Promise<Response<Name>> {
    const slot = `${origin.clientId} ${origin.channel}`;
    const underway = this.#underway.get(slot);
    if (underway !== undefined && origin.sequence > 0 && underway.sequence === origin.sequence)
      return underway.response as Promise<Response<Name>>;

    if (underway !== undefined) checkOrder(message, origin, underway.sequence);
    const stored = this.#answers.find(message, origin) as Response<Name> | undefined;
    if (stored !== undefined) {
      change.repeated?.(this.#state, request, stored, origin);
      return this.#finish(change, request, stored);
    }
    const proceed = (): void => this.#checkWanted(message, origin, slot);
    const waits = change.before?.(this.#state, request, proceed);
    const leases = waits === undefined ? this.#leasesInTheWay(change, request, origin) : undefined;
    if (waits === undefined && leases === undefined) return this.#finish(change, request, this.#apply(message, change, request, origin));

    const response = this.#applyAfter({ waits, leases, proceed }, message, change, request, origin);
    if (origin.sequence === 0) return response;
    const entry: Underway = { sequence: origin.sequence, response };
    this.#underway.set(slot, entry);
    const done = (): void => {
      if (this.#underway.get(slot) === entry) this.#underway.delete(slot);
    };
    response.then(done, done);
    return response;
  }

  #apply<Name extends MetaName>(message: Message, change: Change<Name>, request: Request<Name>, origin: CallOrigin): Response<Name> {
    const answer = this.#state.store.transaction(() => {
      const response = change.apply(this.#state, request, origin);
      // What waited and was given up is made whole, but its answer must not displace a later one.
      if (!this.#answers.isAnswered(origin)) this.#answers.record(message, origin, response);
      return response;
    });
    change.lease?.(this.#state, request, answer, origin);
    return answer;
  }

  #leasesInTheWay<Name extends MetaName>(
    change: Change<Name>,
    request: Request<Name>,
    { clientId }: CallOrigin,
  ): Promise<unknown> | undefined {
    const { leases } = this.#state;
    if (change.directories === undefined || leases.none) return undefined;
    return leases.inTheWay(change.directories(this.#state, request), clientId);
  }

  /** @throws ERR_BAD_REQUEST when the channel has gone on to a later request */
  #checkWanted(message: Message, origin: CallOrigin, slot: string): void {
    this.#answers.find(message, origin);
    const underway = this.#underway.get(slot);
    if (underway !== undefined) checkOrder(message, origin, underway.sequence);
  }

  async #applyAfter<Name extends MetaName>(
    { waits, leases, proceed }: Obstacles,
    message: Message,
    change: Change<Name>,
    request: Request<Name>,
    origin: CallOrigin,
  ): Promise<Response<Name>> {
    const done = await waits;
    try {
      // Looked for again after each wait: meanwhile somebody else may have got a lease.
      for (let way = leases ?? this.#leasesInTheWay(change, request, origin); way !== undefined; ) {
        await unlessEnded(this.#state.ending, way);
        proceed();
        way = this.#leasesInTheWay(change, request, origin);
      }
      const response = this.#apply(message, change, request, origin);
      await this.commit();
      await change.after?.(this.#state, request);
      return response;
    } finally {
      done?.();
    }
  }

  /** In a batch the log is written by `commit`, or at once where `after` needs it. */
  #finish<Name extends MetaName>(
    change: Change<Name>,
    request: Request<Name>,
    response: Response<Name>,
  ): Response<Name> | Promise<Response<Name>> {
    const waits = change.after?.(this.#state, request);
    return waits === undefined ? response : waits.then(() => response);
  }
}

/** A channel has one request at a time: a later one says that the earlier one was given up. */
function checkOrder(message: Message, { clientId, channel, sequence }: CallOrigin, later: number): void {
  if (sequence === 0 || sequence >= later) return;
  throw new IbexError(
    'ERR_BAD_REQUEST',
    `${message.name} of client ${clientId}, channel ${channel}: sequence ${sequence} comes after ${later}`,
  );
}
