/**
 * Keeps a daemon known to mgmtd: registers the node and its targets, sends heartbeats with their figures, and
 * does it all again on every new session. Targets stand for themselves: one that is refused or whose disk
 * hangs is left out and tried again, the others go on.
 */
import type { Logger } from 'pino';
import { Backoff } from '../net/backoff.js';
import type { Session } from '../net/session.js';
import type { Address, TargetKind } from '../wire/cluster-map.js';
import { IbexError, toIbexError } from '../wire/errors.js';
import type { NodeId, TargetId } from '../wire/fid.js';
import { type Message, mgmt, type RequestOf, type ResponseOf, type SessionCarriers, type Usage } from '../wire/messages.js';
import { pause } from './pause.js';
import type { FolderUsage } from './usage.js';

export type ManagementSession = Pick<Session, 'call' | 'isOpen' | 'closed' | 'close'>;

/** A target folder as it wants to be registered. */
export interface RegisteredFolder {
  readonly folder: string;
  readonly pool?: string | undefined;
  /** What target.json says, read again for each registration. */
  identity(): { readonly token: string; readonly target?: TargetId | undefined; readonly clusterId?: string | undefined };
  /** Proves that the folder can be used, before mgmtd takes the target for online. */
  check(): Promise<void>;
  usage(): Promise<FolderUsage>;
  /** The target may be used from now on; called again after each registration. What it throws counts as a refusal. */
  accepted(answer: ResponseOf<typeof mgmt.registerTarget>): Promise<void> | void;
}

export interface RegistrationOptions {
  /** The session with mgmtd that is open now, if any; who makes it is not our part. */
  readonly session: () => ManagementSession | undefined;
  readonly kind: TargetKind;
  readonly uuid: string;
  readonly alias?: string | undefined;
  readonly addresses: readonly Address[];
  readonly logger: Logger;
  /** What the sessions of this process go over. */
  readonly carriers?: () => SessionCarriers;
  /** Called when mgmtd has said which node this is. */
  readonly onNode?: (node: NodeId) => void;
}

/** From one registration of the node to the next: each begins anew, also on the same session. */
interface Round {
  readonly session: ManagementSession;
}

interface Entry {
  readonly folder: RegisteredFolder;
  readonly backoff: Backoff;
  target?: TargetId | undefined;
  /** The token of the target that is this folder's here. Two folders with one token are copies of each other. */
  claim?: string | undefined;
  /** The round in which it was registered. */
  round?: Round | undefined;
  /** The attempt that is under way: a slow one holds up neither heartbeats nor other targets. */
  trying?: Promise<void> | undefined;
  /** Monotonic; not tried before. */
  tryAt: number;
  lastRefusal?: string | undefined;
  /** Figures that have not come yet: a hanging disk must not pile up requests. */
  asking?: Promise<FolderUsage | undefined> | undefined;
  hangs?: boolean | undefined;
}

/** How long to look for a session before looking again: what makes it knocks faster than a node gets offline. */
const SESSION_CHECK_MS = 100;
const CALL_TIMEOUT_MS = 5_000;
/** A disk that does not say its figures for so long does not serve either. */
const USAGE_TIMEOUT_MS = 2_000;

export class Registration {
  readonly #options: RegistrationOptions;
  readonly #logger: Logger;
  readonly #abort = new AbortController();
  readonly #entries: Entry[] = [];
  readonly #backoff = new Backoff(100, 2_000);
  readonly #done: Promise<void>;
  readonly #now: () => number;
  #lastFailure: string | undefined;

  constructor(options: RegistrationOptions, now: () => number = () => performance.now()) {
    this.#options = options;
    this.#logger = options.logger;
    this.#now = now;
    this.#done = this.#run();
  }

  /** Registers the folder with the next heartbeat at the latest, and again whenever that is needed. */
  add(folder: RegisteredFolder): void {
    this.#entries.push({ folder, backoff: new Backoff(1_000, 30_000), tryAt: 0 });
  }

  /** No heartbeat is sent after it has returned. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#done;
    await Promise.all(this.#entries.flatMap((entry) => (entry.trying === undefined ? [] : [entry.trying])));
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const session = this.#options.session();
      if (session?.isOpen !== true) {
        await pause(SESSION_CHECK_MS, signal);
        continue;
      }
      try {
        await this.#serve(session);
      } catch (error) {
        const cause = toIbexError(error);
        this.#logFailure(cause);
        // The connection may lead nowhere any more and not know it: another one is made.
        if (cause.kind === 'ERR_TIMED_OUT') session.close('mgmtd does not answer');
        await pause(this.#backoff.nextMs(), signal);
      }
    }
  }

  /** Registers on this session and reports until it ends. */
  async #serve(session: ManagementSession): Promise<void> {
    const { kind, uuid, alias, addresses } = this.#options;
    const { node, clusterId, heartbeatMs } = await this.#call(session, mgmt.registerNode, {
      uuid,
      kind,
      addresses: [...addresses],
      ...(alias === undefined ? {} : { alias }),
    });
    this.#logger.info({ node, clusterId }, `registered as node ${node}`);
    this.#options.onNode?.(node);
    this.#lastFailure = undefined;
    const round: Round = { session };
    while (!this.#abort.signal.aborted) {
      this.#tryTargets(round);
      const usage = await this.#figures(round);
      const carriers = this.#options.carriers?.();
      await this.#call(session, mgmt.heartbeat, { node, usage, ...(carriers === undefined ? {} : { carriers }) });
      this.#backoff.reset();
      const ended = await Promise.race([session.closed, pause(heartbeatMs, this.#abort.signal)]);
      if (typeof ended === 'string') throw new IbexError('ERR_CONNECTION_LOST', `mgmtd: ${ended}`);
    }
  }

  #tryTargets(round: Round): void {
    for (const entry of this.#entries) {
      if (entry.round === round || entry.trying !== undefined || this.#now() < entry.tryAt) continue;
      entry.trying = this.#registerTarget(round, entry).finally(() => {
        entry.trying = undefined;
      });
    }
  }

  async #registerTarget(round: Round, entry: Entry): Promise<void> {
    const { folder } = entry;
    try {
      // Before anything is waited for: of two copies that register at once only one gets past this.
      this.#claim(entry);
      await folder.check();
      const usage = await this.#usage(entry);
      if (usage === undefined) throw new IbexError('ERR_IO', 'its disk does not tell its free space');
      const identity = folder.identity();
      const answer = await this.#call(round.session, mgmt.registerTarget, {
        kind: this.#options.kind,
        usage,
        token: identity.token,
        ...(folder.pool === undefined ? {} : { pool: folder.pool }),
        ...(identity.target === undefined ? {} : { target: identity.target }),
        ...(identity.clusterId === undefined ? {} : { clusterId: identity.clusterId }),
      });
      await folder.accepted(answer);
      entry.target = answer.target;
      entry.round = round;
      entry.backoff.reset();
      entry.lastRefusal = undefined;
      this.#logger.info({ target: answer.target, folder: folder.folder }, `registered target ${answer.target} in ${folder.folder}`);
    } catch (error) {
      const cause = toIbexError(error);
      // What has been in service keeps its claim: a copy does not become the target because its original fails.
      if (entry.target === undefined) entry.claim = undefined;
      // These are about the session, not about the target: the heartbeat meets them too.
      if (cause.kind === 'ERR_CONNECTION_LOST' || cause.kind === 'ERR_NOT_REGISTERED' || cause.kind === 'ERR_CANCELED') return;
      entry.tryAt = this.#now() + entry.backoff.nextMs();
      if (entry.lastRefusal !== cause.message)
        this.#logger.error(
          { folder: folder.folder, code: cause.kind },
          `target folder ${folder.folder} is not in service: ${cause.message}`,
        );
      entry.lastRefusal = cause.message;
    }
  }

  /** @throws IbexError when another folder of this daemon is that target */
  #claim(entry: Entry): void {
    const { token, target } = entry.folder.identity();
    const twin = this.#entries.find(
      (other) =>
        other !== entry && other.claim !== undefined && (other.claim === token || (target !== undefined && other.target === target)),
    );
    if (twin !== undefined) {
      const what = target === undefined ? 'a target that is new' : `target ${target}`;
      throw new IbexError('ERR_WRONG_DISK', `it is a copy of ${twin.folder.folder}, which holds ${what} too; configure an empty folder`);
    }
    entry.claim = token;
  }

  async #figures(round: Round): Promise<Usage[]> {
    const present = this.#entries.filter((entry) => entry.round === round);
    const figures = await Promise.all(
      present.map(async (entry) => ({ target: entry.target as TargetId, usage: await this.#usage(entry) })),
    );
    return figures.flatMap(({ target, usage }) => (usage === undefined ? [] : [{ target, ...usage }]));
  }

  /** undefined when the disk fails or hangs: the target is left out of the heartbeat and so becomes offline. */
  async #usage(entry: Entry): Promise<FolderUsage | undefined> {
    if (entry.hangs === true) return undefined;
    entry.asking ??= this.#ask(entry);
    const late = new AbortController();
    try {
      const usage = await Promise.race([entry.asking, pause(USAGE_TIMEOUT_MS, late.signal).then(() => 'late' as const)]);
      if (usage !== 'late') return usage;
      entry.hangs = true;
      this.#logger.error(
        { folder: entry.folder.folder },
        `the disk of ${entry.folder.folder} does not answer; its target goes out of service until it does`,
      );
      return undefined;
    } finally {
      late.abort();
    }
  }

  async #ask(entry: Entry): Promise<FolderUsage | undefined> {
    try {
      return await entry.folder.usage();
    } catch (error) {
      this.#logger.error({ err: error }, `no figures of ${entry.folder.folder}: ${(error as Error).message}`);
      return undefined;
    } finally {
      entry.asking = undefined;
      entry.hangs = false;
    }
  }

  #call<M extends Message>(session: ManagementSession, message: M, request: RequestOf<M>): Promise<ResponseOf<M>> {
    return session.call(message, request, { timeoutMs: CALL_TIMEOUT_MS, signal: this.#abort.signal });
  }

  /** Says a lasting trouble once, not with every attempt. */
  #logFailure(cause: IbexError): void {
    if (this.#abort.signal.aborted) return;
    const level = this.#lastFailure === cause.message || cause.kind === 'ERR_NOT_REGISTERED' ? 'debug' : 'warn';
    this.#lastFailure = cause.message;
    this.#logger[level]({ code: cause.kind }, `not in touch with mgmtd: ${cause.message}; trying again`);
  }
}
