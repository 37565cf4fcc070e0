/**
 * The TCP connection over which two ends prove that they know the cluster key and exchange descriptors: length-prefixed
 * frames, the handshake of src/wire/handshake.ts, then bodies under a MAC of the session's key.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import { hostname } from 'node:os';
import { toIbexError } from '../wire/errors.js';
import { FrameType, HANDSHAKE_BODY_BYTES_MAX } from '../wire/generated.js';
import { ClientHandshake, encodeRefusal, type HandshakeResult, type Identity, ServerHandshake } from '../wire/handshake.js';
import { RdmaError } from './errors.js';

/** Type, length of the body. */
const HEAD_BYTES = 5;
const MAC_BYTES = 32;
/** Frames after the handshake; the types before are those of the handshake. */
const SEALED = 64;
/** Of JSON after the handshake. */
const SEALED_BYTES_MAX = 64 * 1024;

const clientId = randomBytes(16).toString('hex');

function identity(): Identity {
  return { kind: 'tool', name: `${hostname()} process ${process.pid}`, clientId, nodeId: 0 };
}

const broken = (message: string, cause?: unknown): RdmaError => new RdmaError('ERR_RDMA_CONNECT', message, { cause });

interface Frame {
  readonly type: number;
  readonly body: Buffer;
}

/** Frames of a socket, one at a time. Takes at most what one frame may have. */
class Frames {
  readonly #socket: Socket;
  #bytes = Buffer.alloc(0);
  #bodyMax = HANDSHAKE_BODY_BYTES_MAX;
  #wake: (() => void) | undefined;
  #error: RdmaError | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      if (this.#bytes.length > HEAD_BYTES + this.#bodyMax) socket.pause();
      this.#wake?.();
    });
    socket.once('error', (error) => this.#fail(broken(`the connection to ${peerOf(socket)} failed: ${error.message}`, error)));
    socket.once('close', () => this.#fail(broken(`${peerOf(socket)} closed the connection`)));
  }

  #fail(error: RdmaError): void {
    this.#error ??= error;
    this.#wake?.();
  }

  allow(bodyMax: number): void {
    this.#bodyMax = bodyMax;
  }

  send(type: number, body: Buffer): void {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt8(type, 0);
    head.writeUInt32LE(body.length, 1);
    this.#socket.write(Buffer.concat([head, body]));
  }

  async next(): Promise<Frame> {
    for (;;) {
      if (this.#bytes.length >= HEAD_BYTES) {
        const length = this.#bytes.readUInt32LE(1);
        if (length > this.#bodyMax) throw broken(`${peerOf(this.#socket)} sent a frame of ${length} bytes: it is no RDMA listener of ours`);
        const end = HEAD_BYTES + length;
        if (this.#bytes.length >= end) {
          const frame = { type: this.#bytes.readUInt8(0), body: Buffer.from(this.#bytes.subarray(HEAD_BYTES, end)) };
          this.#bytes = this.#bytes.subarray(end);
          this.#socket.resume();
          return frame;
        }
      }
      if (this.#error !== undefined) throw this.#error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export const peerOf = (socket: Socket): string => `${socket.remoteAddress ?? 'the peer'}:${socket.remotePort ?? 0}`;

/** A proved connection: JSON values that nobody on the way can read other than as they were sent, in their order. */
export class Channel {
  readonly peer: Identity;
  readonly socket: Socket;
  readonly #frames: Frames;
  readonly #key: Buffer;
  readonly #sending: string;
  readonly #receiving: string;
  #sent = 0;
  #received = 0;

  private constructor(socket: Socket, frames: Frames, { peer, sessionKey }: HandshakeResult, side: 'client' | 'server') {
    this.socket = socket;
    this.peer = peer;
    this.#frames = frames;
    this.#key = sessionKey;
    this.#sending = side;
    this.#receiving = side === 'client' ? 'server' : 'client';
    frames.allow(SEALED_BYTES_MAX);
  }

  /** @throws RdmaError ERR_RDMA_CONNECT; IbexError ERR_HANDSHAKE_REFUSED */
  static async connected(socket: Socket, key: Buffer): Promise<Channel> {
    const frames = new Frames(socket);
    const handshake = new ClientHandshake(key, identity());
    let step = handshake.start();
    while (step.result === undefined) {
      if (step.frame !== undefined) frames.send(step.frame.type, step.frame.body);
      const { type, body } = await frames.next();
      step = handshake.receive(type as FrameType, body);
    }
    return new Channel(socket, frames, step.result, 'client');
  }

  static async accepted(socket: Socket, key: Buffer): Promise<Channel> {
    const frames = new Frames(socket);
    const handshake = new ServerHandshake(key, identity());
    try {
      for (;;) {
        const { type, body } = await frames.next();
        const { frame, result } = handshake.receive(type as FrameType, body);
        if (frame !== undefined) frames.send(frame.type, frame.body);
        if (result !== undefined) return new Channel(socket, frames, result, 'server');
      }
    } catch (error) {
      frames.send(FrameType.refuse, encodeRefusal(toIbexError(error)));
      throw error;
    }
  }

  send(value: object): void {
    const body = Buffer.from(JSON.stringify(value));
    if (body.length > SEALED_BYTES_MAX - MAC_BYTES) throw broken(`what is to be told the peer has ${body.length} bytes as JSON`);
    this.#frames.send(SEALED, Buffer.concat([this.#mac(this.#sending, this.#sent++, body), body]));
  }

  async receive(): Promise<Record<string, unknown>> {
    const { type, body } = await this.#frames.next();
    const text = body.subarray(MAC_BYTES);
    const mac = this.#mac(this.#receiving, this.#received++, text);
    if (type !== SEALED || body.length < MAC_BYTES || !timingSafeEqual(body.subarray(0, MAC_BYTES), mac)) {
      throw broken(`${peerOf(this.socket)} sent what is not proved by the session's key`);
    }
    const value: unknown = JSON.parse(text.toString('utf8'));
    if (typeof value !== 'object' || value === null) throw broken(`${peerOf(this.socket)} sent no object`);
    return value as Record<string, unknown>;
  }

  /** Direction and number are under the MAC: nothing can be reflected, repeated or left out. */
  #mac(side: string, number: number, body: Buffer): Buffer {
    return createHmac('sha256', this.#key).update(`ibexfs rdma ${side} ${number}\0`).update(body).digest();
  }
}
