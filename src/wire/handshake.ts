/**
 * The handshake: both sides prove that they know the cluster key before anything else is said.
 *
 *   client                                server
 *   hello: versions, who, nonce,    --->
 *          queue pair
 *                                   <---  challenge: version, who, nonce, MAC over (hello, challenge)
 *   proof: MAC over all so far      --->
 *                                   <---  welcome: queue pair, MAC over all so far   |   refuse: status, reason
 *   carrier: which, why, MAC        --->  only where both have offered a queue pair
 *
 * Queue pairs are optional: a side that has none may say why, or say nothing. The server makes its own for those
 * alone who have proven that they know the key. The client tries the path and decides, and the server follows.
 * MACs are HMAC-SHA256 with a label for each direction over the whole transcript (type, length and bytes of
 * every body so far), compared in constant time. So a replayed, reflected, downgraded or altered exchange
 * fails: each side's own fresh nonce, the version range and both identities are under every MAC.
 * Bodies are fixed layouts with checked lengths; nothing here allocates by a length that a peer claims.
 * Pure: bytes in, bytes out; deadlines and size limits are the transport's.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { type ErrorCode, IbexError } from './errors.js';
import { FrameType, HANDSHAKE_BODY_BYTES_MAX, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN, QueuePairOfferBytes } from './generated.js';
import { deriveKey } from './key.js';

export const peerKinds = ['client', 'mount', 'tool', 'mgmtd', 'meta', 'storage'] as const;
export type PeerKind = (typeof peerKinds)[number];

/** What a side says of itself, covered by the MACs. */
export interface Identity {
  readonly kind: PeerKind;
  /** Human-readable, at most 200 bytes: host name and process. */
  readonly name: string;
  /** 16 random bytes of the process as hex, stable over its reconnects. */
  readonly clientId: string;
  /** 0 when it is not a node of the map (yet). */
  readonly nodeId: number;
}

/** A side's queue pair as native code describes it, or why it has none. */
export type QueuePairWord = { readonly offer: Buffer } | { readonly reason: string };

/** What carries the frames of a session from now on, as the client has decided. */
export interface CarrierChoice {
  readonly rdma: boolean;
  /** Why not, or by which path. */
  readonly reason: string;
}

export interface HandshakeResult {
  /** What the peer said of a queue pair; undefined: nothing. */
  readonly queuePair: QueuePairWord | undefined;
  readonly peer: Identity;
  readonly version: number;
  /** Key of this session, for lanes that join it. */
  readonly sessionKey: Buffer;
}

/** What the owner of the connection does next: send `frame`, and/or go on as authenticated with `result`. */
export interface HandshakeStep {
  readonly frame?: { readonly type: FrameType; readonly body: Buffer };
  readonly result?: HandshakeResult;
  /** The last word of the client, where both have offered queue pairs. */
  readonly carrier?: CarrierChoice;
}

const NONCE_BYTES = 32;
const MAC_BYTES = 32;
const CLIENT_ID_BYTES = 16;
const NAME_BYTES_MAX = 200;
const REASON_BYTES_MAX = 250;
const OFFER_WORD = 1;
const REASON_WORD = 2;

class Reader {
  readonly #body: Buffer;
  #at = 0;
  constructor(body: Buffer) {
    this.#body = body;
  }
  take(bytes: number): Buffer {
    if (this.#at + bytes > this.#body.length) throw new IbexError('ERR_BAD_FRAME', `handshake body ends after ${this.#body.length} bytes`);
    this.#at += bytes;
    return this.#body.subarray(this.#at - bytes, this.#at);
  }
  u8 = (): number => this.take(1).readUInt8();
  u16 = (): number => this.take(2).readUInt16LE();
  u32 = (): number => this.take(4).readUInt32LE();
  get left(): number {
    return this.#body.length - this.#at;
  }
  done(): void {
    if (this.#at !== this.#body.length)
      throw new IbexError('ERR_BAD_FRAME', `handshake body has ${this.#body.length - this.#at} bytes too many`);
  }
}

function encodeIdentity(identity: Identity): Buffer {
  const name = Buffer.from(identity.name).subarray(0, NAME_BYTES_MAX);
  const fixed = Buffer.alloc(6);
  fixed.writeUInt8(peerKinds.indexOf(identity.kind), 0);
  fixed.writeUInt32LE(identity.nodeId, 1);
  fixed.writeUInt8(name.length, 5);
  return Buffer.concat([Buffer.from(identity.clientId, 'hex'), fixed, name]);
}

function decodeIdentity(reader: Reader): Identity {
  const clientId = reader.take(CLIENT_ID_BYTES).toString('hex');
  const kind = peerKinds[reader.u8()];
  if (kind === undefined) throw new IbexError('ERR_BAD_FRAME', 'handshake names an unknown kind of peer');
  const nodeId = reader.u32();
  const name = reader.take(Math.min(reader.u8(), NAME_BYTES_MAX)).toString('utf8');
  return { kind, name, clientId, nodeId };
}

/** Behind everything else of a body, and nothing at all where nothing is said: so who knows no RDMA is understood. */
function encodeWord(word: QueuePairWord | undefined): Buffer {
  if (word === undefined) return Buffer.alloc(0);
  if ('offer' in word) return Buffer.concat([Buffer.from([OFFER_WORD]), word.offer]);
  return Buffer.concat([Buffer.from([REASON_WORD]), Buffer.from(word.reason).subarray(0, REASON_BYTES_MAX)]);
}

function decodeWord(reader: Reader): QueuePairWord | undefined {
  if (reader.left === 0) return undefined;
  const kind = reader.u8();
  if (kind === OFFER_WORD) return { offer: Buffer.from(reader.take(QueuePairOfferBytes)) };
  if (kind === REASON_WORD) return { reason: reader.take(Math.min(reader.left, REASON_BYTES_MAX)).toString('utf8') };
  throw new IbexError('ERR_BAD_FRAME', `handshake has a word of unknown kind ${kind} about queue pairs`);
}

const offers = (word: QueuePairWord | undefined): boolean => word !== undefined && 'offer' in word;

const u16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
};

/** Bodies said so far, each with its type and length in front, so that no two transcripts read alike. */
class Transcript {
  readonly #parts: Buffer[] = [];
  add(type: FrameType, body: Buffer): void {
    const head = Buffer.alloc(5);
    head.writeUInt8(type, 0);
    head.writeUInt32LE(body.length, 1);
    this.#parts.push(head, Buffer.from(body));
  }
  mac(key: Buffer, label: string): Buffer {
    const hmac = createHmac('sha256', key).update(`ibexfs handshake ${label}\0`);
    for (const part of this.#parts) hmac.update(part);
    return hmac.digest();
  }
}

function expectType(actual: FrameType, expected: FrameType, name: string): void {
  if (actual !== expected) throw new IbexError('ERR_BAD_FRAME', `handshake frame of type ${actual} where ${name} (${expected}) was due`);
}

const wrongKey = (side: string): IbexError =>
  new IbexError('ERR_HANDSHAKE_REFUSED', `${side} does not know the cluster key: check that both sides use the same key file`);

export class ClientHandshake {
  readonly #key: Buffer;
  readonly #self: Identity;
  readonly #nonce = randomBytes(NONCE_BYTES);
  readonly #transcript = new Transcript();
  #state: 'new' | 'challenge' | 'welcome' | 'done' = 'new';
  #peer: Identity | undefined;
  #version = 0;

  constructor(key: Buffer, self: Identity) {
    this.#key = deriveKey(key, 'handshake');
    this.#self = self;
  }

  start(queuePair?: QueuePairWord): HandshakeStep {
    const body = Buffer.concat([
      u16(PROTOCOL_VERSION_MIN),
      u16(PROTOCOL_VERSION),
      this.#nonce,
      encodeIdentity(this.#self),
      encodeWord(queuePair),
    ]);
    this.#transcript.add(FrameType.hello, body);
    this.#state = 'challenge';
    return { frame: { type: FrameType.hello, body } };
  }

  /** @throws IbexError when the server refused, does not know the key, or broke the protocol */
  receive(type: FrameType, body: Buffer): HandshakeStep {
    if (type === FrameType.refuse) throw decodeRefusal(body);
    if (this.#state === 'challenge') return this.#challenge(type, body);
    expectType(type, FrameType.welcome, 'welcome');
    if (this.#state !== 'welcome' || body.length < MAC_BYTES) throw new IbexError('ERR_BAD_FRAME', 'handshake welcome is malformed');
    const said = body.subarray(0, body.length - MAC_BYTES);
    if (said.length > 0) this.#transcript.add(FrameType.welcome, said);
    if (!timingSafeEqual(body.subarray(said.length), this.#transcript.mac(this.#key, 'welcome'))) throw wrongKey('the server');
    const reader = new Reader(said);
    const queuePair = decodeWord(reader);
    reader.done();
    this.#state = 'done';
    const sessionKey = this.#transcript.mac(this.#key, 'session');
    return { result: { queuePair, peer: this.#peer as Identity, version: this.#version, sessionKey } };
  }

  /** After the result, where both have offered queue pairs. */
  carrier({ rdma, reason }: CarrierChoice): HandshakeStep {
    const said = Buffer.concat([Buffer.from([rdma ? 1 : 0]), Buffer.from(reason).subarray(0, REASON_BYTES_MAX)]);
    this.#transcript.add(FrameType.carrier, said);
    return { frame: { type: FrameType.carrier, body: Buffer.concat([said, this.#transcript.mac(this.#key, 'carrier')]) } };
  }

  #challenge(type: FrameType, body: Buffer): HandshakeStep {
    expectType(type, FrameType.challenge, 'challenge');
    const reader = new Reader(body);
    this.#version = reader.u16();
    const nonce = reader.take(NONCE_BYTES);
    this.#peer = decodeIdentity(reader);
    const mac = reader.take(MAC_BYTES);
    reader.done();
    if (this.#version < PROTOCOL_VERSION_MIN || this.#version > PROTOCOL_VERSION) {
      throw new IbexError(
        'ERR_HANDSHAKE_REFUSED',
        `server chose protocol version ${this.#version}, this side speaks ${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION}`,
      );
    }
    if (timingSafeEqual(nonce, this.#nonce)) throw new IbexError('ERR_HANDSHAKE_REFUSED', 'server reflected the nonce');
    this.#transcript.add(FrameType.challenge, body.subarray(0, body.length - MAC_BYTES));
    if (!timingSafeEqual(mac, this.#transcript.mac(this.#key, 'challenge'))) throw wrongKey('the server');
    const proof = this.#transcript.mac(this.#key, 'proof');
    this.#transcript.add(FrameType.proof, proof);
    this.#state = 'welcome';
    return { frame: { type: FrameType.proof, body: proof } };
  }
}

/** Asked when the client has proven itself: this side's queue pair. May throw the refusal of a client without one. */
type AnswerQueuePair = (client: QueuePairWord | undefined) => QueuePairWord | undefined;

export class ServerHandshake {
  readonly #key: Buffer;
  readonly #self: Identity;
  readonly #answerQueuePair: AnswerQueuePair;
  readonly #nonce = randomBytes(NONCE_BYTES);
  readonly #transcript = new Transcript();
  #peer: Identity | undefined;
  #queuePair: QueuePairWord | undefined;
  #version = 0;
  #awaitsCarrier = false;

  constructor(key: Buffer, self: Identity, answerQueuePair: AnswerQueuePair = () => undefined) {
    this.#key = deriveKey(key, 'handshake');
    this.#self = self;
    this.#answerQueuePair = answerQueuePair;
  }

  /** The session is not open before the client has said what carries it. */
  get awaitsCarrier(): boolean {
    return this.#awaitsCarrier;
  }

  /** Best knowledge of who is knocking, for the log; unproved until `result`. */
  get claimedName(): string {
    return this.#peer?.name ?? 'unknown peer';
  }

  /** @throws IbexError with what to tell the client and the log; the connection is to be refused */
  receive(type: FrameType, body: Buffer): HandshakeStep {
    if (this.#peer === undefined) return this.#hello(type, body);
    if (this.#awaitsCarrier) return this.#carrier(type, body);
    expectType(type, FrameType.proof, 'proof');
    if (body.length !== MAC_BYTES) throw new IbexError('ERR_BAD_FRAME', `handshake proof has ${body.length} bytes instead of ${MAC_BYTES}`);
    if (!timingSafeEqual(body, this.#transcript.mac(this.#key, 'proof'))) throw wrongKey('the client');
    this.#transcript.add(FrameType.proof, body);
    const own = this.#answerQueuePair(this.#queuePair);
    // Who has said nothing of RDMA does not know what a word about it is.
    const said = encodeWord(this.#queuePair === undefined ? undefined : own);
    if (said.length > 0) this.#transcript.add(FrameType.welcome, said);
    this.#awaitsCarrier = offers(own) && offers(this.#queuePair);
    return {
      frame: { type: FrameType.welcome, body: Buffer.concat([said, this.#transcript.mac(this.#key, 'welcome')]) },
      result: {
        queuePair: this.#queuePair,
        peer: this.#peer,
        version: this.#version,
        sessionKey: this.#transcript.mac(this.#key, 'session'),
      },
    };
  }

  #carrier(type: FrameType, body: Buffer): HandshakeStep {
    expectType(type, FrameType.carrier, 'carrier');
    if (body.length < 1 + MAC_BYTES) throw new IbexError('ERR_BAD_FRAME', `handshake carrier has ${body.length} bytes`);
    const said = body.subarray(0, body.length - MAC_BYTES);
    this.#transcript.add(FrameType.carrier, said);
    if (!timingSafeEqual(body.subarray(said.length), this.#transcript.mac(this.#key, 'carrier'))) throw wrongKey('the client');
    this.#awaitsCarrier = false;
    return { carrier: { rdma: said[0] === 1, reason: said.subarray(1).toString('utf8') } };
  }

  #hello(type: FrameType, body: Buffer): HandshakeStep {
    expectType(type, FrameType.hello, 'hello');
    const reader = new Reader(body);
    const versionMin = reader.u16();
    const versionMax = reader.u16();
    reader.take(NONCE_BYTES);
    const peer = decodeIdentity(reader);
    this.#queuePair = decodeWord(reader);
    reader.done();
    this.#version = Math.min(versionMax, PROTOCOL_VERSION);
    if (versionMin > versionMax || this.#version < versionMin || this.#version < PROTOCOL_VERSION_MIN) {
      throw new IbexError(
        'ERR_HANDSHAKE_REFUSED',
        `${peer.name} speaks protocol versions ${versionMin} to ${versionMax}, this side ${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION}: upgrade the older one`,
      );
    }
    this.#peer = peer;
    this.#transcript.add(FrameType.hello, body);
    const unsigned = Buffer.concat([u16(this.#version), this.#nonce, encodeIdentity(this.#self)]);
    this.#transcript.add(FrameType.challenge, unsigned);
    return { frame: { type: FrameType.challenge, body: Buffer.concat([unsigned, this.#transcript.mac(this.#key, 'challenge')]) } };
  }
}

/** Body of a refuse frame: u32 status, then the reason as UTF-8. */
export function encodeRefusal(error: IbexError): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(error.status);
  return Buffer.concat([head, Buffer.from(error.message)]).subarray(0, HANDSHAKE_BODY_BYTES_MAX);
}

function decodeRefusal(body: Buffer): IbexError {
  const kind: ErrorCode = 'ERR_HANDSHAKE_REFUSED';
  return new IbexError(kind, `server said: ${body.subarray(4).toString('utf8')}`);
}
