/**
 * The JavaScript end of the two crossings to native code: drains the event ring in batches and appends
 * commands that one call per turn hands over. No other module touches ring memory. It decides nothing:
 * records go to the listeners that the layers above registered.
 */
import { performance } from 'node:perf_hooks';
import { loadNative, type NativeRuntime, type RuntimeOptions } from '../native.js';
import { errorFromStatus, IbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import {
  ChunkEventOffset,
  type ChunkOperation,
  ChunkOperationCommandBytes,
  CloseConnectionCommandBytes,
  CommandKind,
  ConnectionEventBytes,
  EventKind,
  FileIoCommandBytes,
  type FileIoOperation,
  type FrameEvent,
  FrameEventBytes,
  type FuseFactsCommand,
  FuseFactsCommandBytes,
  FuseFactsCommandOffset,
  type FuseReplyCommand,
  FuseReplyCommandBytes,
  FuseReplyCommandOffset,
  type FuseRequestEvent,
  FuseRequestEventBytes,
  IoEventOffset,
  LogEventBytes,
  LogLevel,
  RingRecordOffset,
  readConnectionEvent,
  readFrameEvent,
  readFuseClosedEvent,
  readFuseRequestEvent,
  readLogEvent,
  readTargetEvent,
  type SendFrameCommand,
  SendFrameCommandBytes,
  SendFrameCommandOffset,
  TargetEventBytes,
  writeChunkOperationCommand,
  writeCloseConnectionCommand,
  writeFileIoCommand,
  writeFuseFactsCommand,
  writeFuseReplyCommand,
  writeRingRecord,
  writeSendFrameCommand,
} from '../wire/generated.js';

export interface ConnectionListener {
  opened(connection: number, address: string): void;
  closed(connection: number, status: number, reason: string): void;
  /** Status 0: the path between the queue pairs works. */
  rdmaProbed?(connection: number, status: number, reason: string): void;
  /** Body lies in source[start, stop), valid during the call. */
  frame(connection: number, frame: FrameEvent, source: Buffer, start: number, stop: number): void;
}

export interface RuntimeListeners {
  accepted?(connection: number, listener: number, address: string): void;
  routeNeeded?(target: number): void;
  targetFault?(target: number, status: number, detail: string): void;
  /** Names lie in source: [start, start + nameLength) and the secondLength bytes after them; valid during the call. */
  fuseRequest?(request: FuseRequestEvent, source: Buffer, start: number): void;
  fuseClosed?(session: number, status: number): void;
  log?(level: number, message: string): void;
  /** A batch of events has been dispatched. */
  batchEnd?(): void;
}

interface Waiter {
  resolve(value: number): void;
  reject(error: Error): void;
  what: string;
}

interface ChunkWaiter {
  resolve(value: { size: number; blocks: number }): void;
  reject(error: Error): void;
  what: string;
}

const EVENTS_PER_TURN_MAX = 4096;
const CONTROL_BYTES = 64;
const HEAD = 0;
const TAIL = 1;
const SLEEPS = 2;
const ROOM_WANTED = 3;

export const runtimeDefaults: RuntimeOptions = {
  reactorThreads: 0,
  bufferBytes: 16 * 2 ** 20,
  eventRingBytes: 4 * 2 ** 20,
  commandBytes: 4 * 2 ** 20,
  ioTimeoutMs: 10_000,
  diskEngine: 'auto',
  rdma: { device: '', port: 1, gidIndex: -1, exposePool: false },
};

export class Runtime {
  readonly native: NativeRuntime;
  readonly options: RuntimeOptions;
  readonly listeners: RuntimeListeners = {};
  readonly #control: Int32Array;
  readonly #ring: Buffer;
  readonly #ringView: DataView;
  readonly #mask: number;
  readonly #commands: Buffer;
  readonly #commandView: DataView;
  #commandBytes = 0;
  #flushScheduled = false;
  #draining = false;
  #closed = false;
  #nextTag = 1;
  readonly #ioWaiters = new Map<number, Waiter>();
  readonly #chunkWaiters = new Map<number, ChunkWaiter>();
  readonly #connections = new Map<number, ConnectionListener>();

  constructor(options: Partial<RuntimeOptions> = {}) {
    const merged = { ...runtimeDefaults, ...options };
    this.options = merged;
    this.native = loadNative().createRuntime(merged, () => this.#drain());
    this.#control = new Int32Array(this.native.events, 0, 16);
    this.#ring = Buffer.from(this.native.events, CONTROL_BYTES);
    this.#ringView = new DataView(this.native.events, CONTROL_BYTES);
    this.#mask = merged.eventRingBytes - 1;
    this.#commands = Buffer.from(this.native.commands);
    this.#commandView = new DataView(this.native.commands);
  }

  /** Events of this connection go to `listener` until it closed. */
  attach(connection: number, listener: ConnectionListener): void {
    this.#connections.set(connection, listener);
  }

  sendFrame(fields: Partial<Omit<SendFrameCommand, 'bodyLength'>>, body: Uint8Array): void {
    const at = this.#append(CommandKind.sendFrame, SendFrameCommandBytes, body.length);
    writeSendFrameCommand(this.#commandView, at, fields);
    // Not as a field in a copy of `fields`: the copy would cost more than all the rest of a call.
    this.#commandView.setUint32(at + SendFrameCommandOffset.bodyLength, body.length, true);
    this.#commands.set(body, at + SendFrameCommandBytes);
  }

  closeConnection(connection: number, reason: string): void {
    const text = Buffer.from(reason).subarray(0, 1024);
    const at = this.#append(CommandKind.closeConnection, CloseConnectionCommandBytes, text.length);
    writeCloseConnectionCommand(this.#commandView, at, { connection, textLength: text.length });
    this.#commands.set(text, at + CloseConnectionCommandBytes);
  }

  fuseReply(fields: Partial<Omit<FuseReplyCommand, 'dataLength'>>, data?: Uint8Array): void {
    const length = data?.length ?? 0;
    const at = this.#append(CommandKind.fuseReply, FuseReplyCommandBytes, length);
    writeFuseReplyCommand(this.#commandView, at, fields);
    this.#commandView.setUint32(at + FuseReplyCommandOffset.dataLength, length, true); // as in sendFrame
    if (data !== undefined) this.#commands.set(data, at + FuseReplyCommandBytes);
  }

  /** Tells native code what it may answer the kernel by itself, untilMs (by bootTimeMs), once the command has been handed over. */
  fuseFacts(fields: Partial<Omit<FuseFactsCommand, 'nameLength' | 'untilMs'>>, untilMs: number, name?: Uint8Array): void {
    const length = name?.length ?? 0;
    const at = this.#append(CommandKind.fuseFacts, FuseFactsCommandBytes, length);
    writeFuseFactsCommand(this.#commandView, at, fields);
    this.#commandView.setUint32(at + FuseFactsCommandOffset.nameLength, length, true); // as in sendFrame
    const endMs = Math.floor(untilMs);
    this.#commandView.setUint32(at + FuseFactsCommandOffset.untilMs, endMs >>> 0, true);
    this.#commandView.setUint32(at + FuseFactsCommandOffset.untilMs + 4, Math.floor(endMs / 4294967296), true);
    if (name !== undefined) this.#commands.set(name, at + FuseFactsCommandBytes);
  }

  /**
   * Reads or writes bytes of an open file from or into a registered buffer, or flushes or syncs it.
   *
   * @returns bytes moved
   * @throws IbexError with the status that the targets gave; `what` names the file in it
   */
  fileIo(
    operation: FileIoOperation,
    file: number,
    io: { offset: number; slot: number; slotOffset: number; length: number },
    what: string,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const tag = this.#tag(this.#ioWaiters);
      this.#ioWaiters.set(tag, { resolve, reject, what });
      const at = this.#append(CommandKind.fileIo, FileIoCommandBytes, 0);
      writeFileIoCommand(this.#commandView, at, {
        file,
        operation,
        tag,
        slot: io.slot,
        offset: io.offset,
        slotOffset: io.slotOffset,
        length: io.length,
      });
    });
  }

  /** Truncate (offset is the new size), stat, sync or remove of one chunk. */
  chunkOperation(
    target: number,
    operation: ChunkOperation,
    fid: Fid,
    column: number,
    offset: number,
    deadlineMs = 10_000,
  ): Promise<{ size: number; blocks: number }> {
    return new Promise((resolve, reject) => {
      const tag = this.#tag(this.#chunkWaiters);
      this.#chunkWaiters.set(tag, { resolve, reject, what: `chunk operation ${operation} on target ${target}` });
      const at = this.#append(CommandKind.chunkOperation, ChunkOperationCommandBytes, 0);
      writeChunkOperationCommand(this.#commandView, at, { target, operation, tag, column, fid, offset, deadlineMs });
    });
  }

  /** Hands what was appended to native code now instead of at the end of the turn. */
  flush(): void {
    const bytes = this.#commandBytes;
    this.#commandBytes = 0;
    if (bytes > 0 && !this.#closed) this.native.flush(bytes);
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.native.close();
    const gone = new IbexError('ERR_SHUTTING_DOWN', 'the runtime was closed');
    for (const waiter of [...this.#ioWaiters.values(), ...this.#chunkWaiters.values()]) waiter.reject(gone);
    this.#ioWaiters.clear();
    this.#chunkWaiters.clear();
  }

  #tag(waiters: ReadonlyMap<number, unknown>): number {
    do this.#nextTag = (this.#nextTag + 1) >>> 0 || 1;
    while (waiters.has(this.#nextTag));
    return this.#nextTag;
  }

  #append(kind: CommandKind, recordBytes: number, tailBytes: number): number {
    if (this.#closed) throw new IbexError('ERR_SHUTTING_DOWN', 'the runtime was closed');
    const length = (recordBytes + tailBytes + 7) & ~7;
    if (length > this.#commands.length) throw new IbexError('ERR_INVALID', `command of ${length} bytes does not fit`);
    if (this.#commandBytes + length > this.#commands.length) this.flush();
    const at = this.#commandBytes;
    writeRingRecord(this.#commandView, at, { length, kind });
    this.#commandBytes += length;
    if (!this.#flushScheduled && !this.#draining) {
      this.#flushScheduled = true;
      // After every microtask of this turn: continuations of a whole batch share one native call.
      process.nextTick(() => {
        this.#flushScheduled = false;
        this.flush();
      });
    }
    return at;
  }

  #drain(): void {
    if (this.#closed) return;
    let more = true;
    this.#draining = true;
    try {
      more = this.#serveRing();
      if (!this.#closed) this.listeners.batchEnd?.();
    } catch (error) {
      // Whoever failed: the ring goes on, and what was appended leaves.
      this.#listenerFailed(error);
    } finally {
      this.#draining = false;
      this.flush();
    }
    if (more && !this.#closed) setImmediate(() => this.#drain());
  }

  /** Dispatches what is there, at most a turn's worth; true: there is more. */
  #serveRing(): boolean {
    let budget = EVENTS_PER_TURN_MAX;
    let head = Atomics.load(this.#control, HEAD);
    for (;;) {
      const tail = Atomics.load(this.#control, TAIL);
      while (head !== tail && budget > 0 && !this.#closed) {
        const at = head & this.#mask;
        const length = this.#ringView.getUint32(at + RingRecordOffset.length, true);
        try {
          this.#dispatch(this.#ringView.getUint16(at + RingRecordOffset.kind, true), at);
        } catch (error) {
          // A listener's fault must not stop the ring: it is reported and the next record is served.
          this.#listenerFailed(error);
        }
        head = (head + length) | 0;
        budget--;
      }
      if (this.#closed) return false;
      Atomics.store(this.#control, HEAD, head);
      if (Atomics.exchange(this.#control, ROOM_WANTED, 0) !== 0) this.native.roomMade();
      if (budget === 0) return true;
      // Say that we sleep, then look again: a producer that saw us awake has published before that look.
      Atomics.store(this.#control, SLEEPS, 1);
      if (Atomics.load(this.#control, TAIL) === head) return false;
      Atomics.store(this.#control, SLEEPS, 0);
    }
  }

  #listenerFailed(error: unknown): void {
    this.listeners.log?.(LogLevel.error, `event listener failed: ${(error as Error).stack ?? String(error)}`);
  }

  #dispatch(kind: number, at: number): void {
    const view = this.#ringView;
    switch (kind) {
      case EventKind.frame: {
        const frame = readFrameEvent(view, at);
        const start = at + FrameEventBytes;
        this.#connections.get(frame.connection)?.frame(frame.connection, frame, this.#ring, start, start + frame.bodyLength);
        break;
      }
      case EventKind.fuseRequest:
        this.listeners.fuseRequest?.(readFuseRequestEvent(view, at), this.#ring, at + FuseRequestEventBytes);
        break;
      case EventKind.ioDone: {
        const tag = view.getUint32(at + IoEventOffset.tag, true);
        const waiter = this.#ioWaiters.get(tag);
        if (waiter === undefined) break;
        this.#ioWaiters.delete(tag);
        const status = view.getUint32(at + IoEventOffset.status, true);
        if (status === 0)
          waiter.resolve(view.getUint32(at + IoEventOffset.bytes, true) + view.getUint32(at + IoEventOffset.bytes + 4, true) * 4294967296);
        else waiter.reject(errorFromStatus(status, `${waiter.what}, target ${view.getUint32(at + IoEventOffset.target, true)}`));
        break;
      }
      case EventKind.chunkDone: {
        const tag = view.getUint32(at + ChunkEventOffset.tag, true);
        const waiter = this.#chunkWaiters.get(tag);
        if (waiter === undefined) break;
        this.#chunkWaiters.delete(tag);
        const status = view.getUint32(at + ChunkEventOffset.status, true);
        const u64 = (offset: number): number => view.getUint32(at + offset, true) + view.getUint32(at + offset + 4, true) * 4294967296;
        if (status === 0) waiter.resolve({ size: u64(ChunkEventOffset.chunkSize), blocks: u64(ChunkEventOffset.chunkBlocks) });
        else waiter.reject(errorFromStatus(status, waiter.what));
        break;
      }
      default:
        this.#dispatchRare(kind, at);
    }
  }

  #dispatchRare(kind: number, at: number): void {
    const view = this.#ringView;
    const text = (start: number, length: number): string => this.#ring.toString('utf8', start, start + length);
    switch (kind) {
      case EventKind.connectionAccepted: {
        const event = readConnectionEvent(view, at);
        this.listeners.accepted?.(event.connection, event.listener, text(at + ConnectionEventBytes, event.textLength));
        break;
      }
      case EventKind.connectionOpened: {
        const event = readConnectionEvent(view, at);
        this.#connections.get(event.connection)?.opened(event.connection, text(at + ConnectionEventBytes, event.textLength));
        break;
      }
      case EventKind.rdmaProbed: {
        const event = readConnectionEvent(view, at);
        const reason = text(at + ConnectionEventBytes, event.textLength);
        this.#connections.get(event.connection)?.rdmaProbed?.(event.connection, event.status, reason);
        break;
      }
      case EventKind.connectionClosed: {
        const event = readConnectionEvent(view, at);
        const listener = this.#connections.get(event.connection);
        this.#connections.delete(event.connection);
        listener?.closed(event.connection, event.status, text(at + ConnectionEventBytes, event.textLength));
        break;
      }
      case EventKind.routeNeeded:
        this.listeners.routeNeeded?.(readTargetEvent(view, at).target);
        break;
      case EventKind.targetFault: {
        const event = readTargetEvent(view, at);
        this.listeners.targetFault?.(event.target, event.status, text(at + TargetEventBytes, event.textLength));
        break;
      }
      case EventKind.fuseClosed: {
        const event = readFuseClosedEvent(view, at);
        this.listeners.fuseClosed?.(event.session, event.status);
        break;
      }
      case EventKind.log: {
        const event = readLogEvent(view, at);
        this.listeners.log?.(event.level, text(at + LogEventBytes, event.textLength));
        break;
      }
      default: // padding at the ring's end
    }
  }
}

/** Milliseconds on the monotonic clock, for every decision about time. It stands still while the machine is suspended. */
export const monotonicMs = (): number => performance.now();

/** The same on a clock that goes on meanwhile, for what a server has promised for a time; native code has the same clock. */
export const bootTimeMs = (): number => loadNative().bootTimeMs();
