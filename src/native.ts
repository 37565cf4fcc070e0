/**
 * The only file that loads the native addon, and its types. Everything here is the raw boundary:
 * src/net/runtime.ts is what the rest of the code uses.
 */
import { createRequire } from 'node:module';
import type { NativeRdma } from './rdma/native.js';

export interface RuntimeOptions {
  /** Threads that drive reactors of their own, besides the one on Node's loop. */
  readonly reactorThreads: number;
  /** Bytes for file data in flight: mapped once, never more. */
  readonly bufferBytes: number;
  /** Bytes of the event ring, a power of two. */
  readonly eventRingBytes: number;
  readonly commandBytes: number;
  /** After this a chunk request that got no answer fails with EIO. */
  readonly ioTimeoutMs: number;
  /** 'auto' takes io_uring where the kernel allows it. */
  readonly diskEngine: 'auto' | 'io_uring' | 'threads';
  /** Used by the rdma functions only. */
  readonly rdma: RdmaOptions;
}

/** Which RDMA device and port, and how. */
export interface RdmaOptions {
  /** '' takes the first with a usable port. */
  readonly device: string;
  readonly port: number;
  /** -1: the GID that matches the address of the TCP connection. */
  readonly gidIndex: number;
  /** Servers may read and write poolMemory: for clients. */
  readonly exposePool: boolean;
}

export interface FuseMountOptions {
  readonly threads: number;
  readonly allowOther: boolean;
  readonly readOnly: boolean;
}

export interface NativeRuntime {
  /** Event ring: control block (words: 0 head, 1 tail, 2 JavaScript sleeps, 3 room is wanted), then data from byte 64 on. */
  readonly events: ArrayBuffer;
  readonly commands: ArrayBuffer;
  /** Per file slot 8 doubles: see native/stripes/file_table.h. */
  readonly fileStates: ArrayBuffer;
  /** JavaScript has read from the ring while somebody waited for room in it. */
  roomMade(): void;
  /** Executes the records in the first `bytes` of `commands`. */
  flush(bytes: number): void;
  /** Numeric host. serving: 'loop' or 'threads'. Port 0 takes any; returns the port. */
  listen(host: string, port: number, serving: 'loop' | 'threads'): { listener: number; port: number };
  /** Numeric host. reactor: -1 the loop, else a thread index. Ends in connectionOpened or connectionClosed. */
  connect(host: string, port: number, reactor: number): number;
  /** peer: the id of who has connected here; its earlier connection ends, and what that still brings changes nothing. */
  authenticate(connection: number, peer?: string): void;
  /** Opens the device and registers poolMemory with it, once. All rdma functions throw with the reason why not. */
  rdmaOpen(): void;
  /** Throws when no queue pair could be made now. */
  rdmaCheck(): void;
  /** Makes a queue pair for a connection in its handshake; what the peer needs to know of it. */
  rdmaOffer(connection: number): Buffer;
  /** Connects it to the peer's. */
  rdmaAccept(connection: number, peer: Buffer): void;
  /** Exchanges a first message; ends in an rdmaProbed event. */
  rdmaProbe(connection: number): void;
  /** Frames of the connection go over its queue pair from now on; the path, for people. Then authenticate. */
  rdmaUse(connection: number): string;
  /** Gives the queue pair up, TCP carries on. Nothing happens when there is none. */
  rdmaDrop(connection: number, reason: string): void;
  setRoute(target: number, connection: number, mapVersion: number): void;
  clearRoute(target: number): void;
  failTarget(target: number, status: number, message: string): void;
  /** Starts the chunk server; requests are accepted on authenticated connections from now on. */
  addTarget(target: number, path: string, mapVersion: number): void;
  setTargetMapVersion(target: number, mapVersion: number): void;
  removeTarget(target: number): void;
  openFile(fid: number, stripeSize: number, targets: Uint32Array, size: number): number;
  closeFile(slot: number): void;
  /** One more opening of the file: is told of each failure of accepted writes and of syncs once. A number above the slot's. */
  openHandle(slot: number): number;
  closeHandle(handle: number): void;
  /** After a truncation. */
  setFileSize(slot: number, size: number): void;
  /** What the metadata server says; left alone while writes of this process are not settled. */
  adoptFileSize(slot: number, size: number): void;
  /** The metadata server has taken this mtime: the file is clean unless it was written since. */
  settleFile(file: number, mtimeMicroseconds: number): void;
  /**
   * Makes memory of an ArrayBuffer (a SharedArrayBuffer: by a Uint8Array over it) known by a number for fileIo.
   * lasting: the RDMA device gets to know it too, so that servers move data straight into it and out of it.
   * It is kept alive until released, and must not be transferred or resized meanwhile. Slot 0 is poolMemory.
   */
  registerBuffer(buffer: ArrayBuffer | Uint8Array, lasting?: boolean): number;
  releaseBuffer(slot: number): void;
  /** All pool memory, as one ArrayBuffer for its whole life. */
  readonly poolMemory: ArrayBuffer;
  mountFuse(mountpoint: string, options: FuseMountOptions): number;
  /** In the background; ends in a fuseClosed event. lazy: also while files are open (otherwise that ends in a log event). */
  unmountFuse(session: number, lazy: boolean): void;
  invalidateInode(session: number, node: number, dataToo: boolean): void;
  invalidateEntry(session: number, parent: number, name: string): void;
  /** Counters by name; sampled, never reset. */
  metrics(): Record<string, number>;
  close(): void;
}

export interface NativeAddon {
  /** onEvents is called when records are in the ring and JavaScript had said that it sleeps. */
  createRuntime(options: RuntimeOptions, onEvents: () => void): NativeRuntime;
  /** Why storage daemons cannot use io_uring here; '' where they can. */
  ioUringProblem(): string;
  unmount(mountpoint: string, lazy: boolean): void;
  crc32c(bytes: Uint8Array, seed?: number): number;
  /** Milliseconds on a monotonic clock that goes on while the machine is suspended, as that of performance.now() does not. */
  bootTimeMs(): number;
  /** Tells systemd (NOTIFY_SOCKET); false where nobody listens. */
  sdNotify(text: string): boolean;
  /**
   * Makes the file when missing and holds it (flock) until unlockFile or the end of the process. Returns the
   * descriptor; throws with `status` 11 (EAGAIN) when somebody holds it.
   */
  lockFile(path: string): number;
  /** Once for each lockFile: it closes the descriptor. */
  unlockFile(descriptor: number): void;
  readonly rdma: NativeRdma;
}

let loaded: NativeAddon | undefined;

/** @throws Error that says how to build the addon when it is missing */
export function loadNative(): NativeAddon {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  // dist/src/native.js and src/native.ts both lie two or one folder below the package's root.
  const candidates = ['../../build/Release/ibexfs.node', '../build/Release/ibexfs.node'];
  const override = process.env['IBEXFS_ADDON'];
  if (override !== undefined && override !== '') candidates.unshift(override);
  const failures: string[] = [];
  for (const candidate of candidates) {
    try {
      loaded = require(candidate) as NativeAddon;
      return loaded;
    } catch (error) {
      failures.push(`${candidate}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  throw new Error(`the native addon cannot be loaded; build it with 'npm run build'. Tried ${failures.join('; ')}`);
}
