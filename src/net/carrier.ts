/**
 * Which carrier a session gets, RDMA or TCP, by this node's policy and by what both sides have. Drives native code
 * through the steps of bringing a queue pair up beside the handshake; moves no bytes.
 */
import type { Logger } from 'pino';
import type { NativeRuntime, RdmaOptions } from '../native.js';
import { IbexError, toIbexError } from '../wire/errors.js';
import type { QueuePairWord } from '../wire/handshake.js';
import type { CarrierTraffic, SessionCarriers } from '../wire/messages.js';

export type RdmaPolicy = 'require' | 'prefer' | 'off';

/** The section `[rdma]` of a configuration. */
export interface RdmaSettings {
  readonly policy: RdmaPolicy;
  readonly device: string;
  readonly port: number;
  readonly gidIndex: number;
}

export const rdmaDefaults: RdmaSettings = { policy: 'prefer', device: '', port: 1, gidIndex: -1 };
export const rdmaOff: RdmaSettings = { ...rdmaDefaults, policy: 'off' };

/** What carries a session. */
export interface Carrier {
  readonly kind: 'rdma' | 'tcp';
  /** RDMA: the path. TCP: why. */
  readonly detail: string;
}

export function nativeRdmaOptions(settings: RdmaSettings, isClient: boolean): RdmaOptions {
  return { device: settings.device, port: settings.port, gidIndex: settings.gidIndex, exposePool: isClient };
}

const withoutKind = (error: unknown): string => toIbexError(error).message.replace(/^E[A-Z_]+: (?:[a-z ]+: )?/, '');

export class Carriers {
  readonly policy: RdmaPolicy;
  readonly #native: NativeRuntime;
  readonly #logger: Logger;
  /** Told once: what is so from the start is not news with every session. */
  #unavailable: string | undefined;

  constructor(native: NativeRuntime, policy: RdmaPolicy, logger: Logger) {
    this.#native = native;
    this.policy = policy;
    this.#logger = logger;
    if (policy === 'off') return;
    try {
      native.rdmaOpen();
    } catch (error) {
      this.#unavailable = withoutKind(error);
      const text = `RDMA cannot be used: ${this.#unavailable}`;
      if (policy === 'require') logger.error(text);
      else logger.info(`${text}. Sessions go over TCP`);
    }
  }

  /** Why no queue pair could be made now; empty when one could. */
  trouble(): string {
    if (this.policy === 'off') return 'rdma.policy is "off"';
    try {
      this.#native.rdmaCheck();
      return '';
    } catch (error) {
      return withoutKind(error);
    }
  }

  /** This side's queue pair for a connection, or why there is none. */
  offer(connection: number): QueuePairWord {
    if (this.policy === 'off') return { reason: 'rdma.policy is "off"' };
    try {
      return { offer: this.#native.rdmaOffer(connection) };
    } catch (error) {
      return { reason: withoutKind(error) };
    }
  }

  /** The server's answer to a client that has proven itself. @throws IbexError ERR_HANDSHAKE_REFUSED by policy */
  answer(connection: number, client: QueuePairWord | undefined): QueuePairWord {
    if (client === undefined || 'reason' in client) {
      this.insist(client?.reason ?? 'the client says nothing of RDMA');
      return { reason: this.policy === 'off' ? 'rdma.policy is "off"' : '' };
    }
    const own = this.offer(connection);
    if ('reason' in own) {
      this.insist(own.reason);
      return own;
    }
    try {
      this.#native.rdmaAccept(connection, client.offer);
      return own;
    } catch (error) {
      const reason = withoutKind(error);
      this.#native.rdmaDrop(connection, reason);
      this.insist(reason);
      return { reason };
    }
  }

  /** Before a session goes over TCP. @throws IbexError ERR_HANDSHAKE_REFUSED where that is not allowed */
  insist(reason: string): void {
    if (this.policy === 'require')
      throw new IbexError('ERR_HANDSHAKE_REFUSED', `rdma.policy is "require", and RDMA cannot be used: ${reason}`);
  }

  /** Frames go over the queue pair from now on. Every frame appended before must have been flushed. */
  use(connection: number): Carrier {
    return { kind: 'rdma', detail: this.#native.rdmaUse(connection) };
  }

  tcp(connection: number, reason: string): Carrier {
    if (this.policy !== 'off') this.#native.rdmaDrop(connection, reason);
    return { kind: 'tcp', detail: reason };
  }

  /** Never silent: which carrier, and why; a warning where RDMA is there and was not used. */
  report({ kind, detail }: Carrier, peer: string): void {
    if (kind === 'rdma') this.#logger.info(`session with ${peer} goes over RDMA: ${detail}`);
    else if (this.policy === 'off' || detail === this.#unavailable) this.#logger.debug(`session with ${peer} goes over TCP: ${detail}`);
    else this.#logger.warn(`session with ${peer} goes over TCP: ${detail}`);
  }
}

/** For status reports: sessions by carrier, with why the youngest of those over TCP goes there. */
export function countCarriers(sessions: Iterable<{ readonly peer: { readonly carrier: Carrier } }>): SessionCarriers {
  let rdma = 0;
  let tcp = 0;
  let reason = '';
  for (const { peer } of sessions) {
    if (peer.carrier.kind === 'rdma') {
      rdma++;
    } else {
      tcp++;
      reason = peer.carrier.detail.slice(0, 500);
    }
  }
  return { rdma, tcp, reason };
}

/** From the counters of native code. */
export function carrierTraffic(native: Readonly<Record<string, number>>): CarrierTraffic {
  const bytes = (carrier: string, direction: string): number =>
    native[`carrier_bytes_total{carrier="${carrier}",direction="${direction}"}`] ?? 0;
  return {
    rdmaSent: bytes('rdma', 'sent'),
    rdmaReceived: bytes('rdma', 'received'),
    tcpSent: bytes('tcp', 'sent'),
    tcpReceived: bytes('tcp', 'received'),
    rdmaCopied: native['rdma_bounced_bytes_total'] ?? 0,
    registrations: native['rdma_registrations_total'] ?? 0,
  };
}

/** Why a session goes over TCP, by what the client and the server have said. */
export function whyTcp(own: QueuePairWord, peer: QueuePairWord | undefined, side: 'client' | 'server'): string {
  if ('reason' in own && own.reason !== '') return own.reason;
  if (peer === undefined) return `the ${side} says nothing of RDMA`;
  return 'reason' in peer ? `the ${side}: ${peer.reason}` : 'the path was not tried';
}
