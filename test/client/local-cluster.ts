/**
 * A real metadata target in this process, called through the real codec but without a network, and file data in
 * memory where native code would keep it on targets. For the logic of client and mount; whole clusters of real
 * processes are test/cluster's.
 */
import type { FileIo, ManagementCalls, MetadataCalls, NativeBuffers, NativeFiles } from '../../src/client/backend.js';
import { BufferRegistry } from '../../src/client/buffers.js';
import { ClusterFileSystem } from '../../src/client/file-system.js';
import { OpenFiles } from '../../src/client/open-files.js';
import { decodeBody, encodeBody } from '../../src/wire/codec.js';
import { IbexError } from '../../src/wire/errors.js';
import type { Fid, TargetId } from '../../src/wire/fid.js';
import { FileIoOperation } from '../../src/wire/generated.js';
import { type Message, type meta, mgmt, type RequestOf, type ResponseOf } from '../../src/wire/messages.js';
import { clusterMap, openTarget, type TestTarget, testFolder } from '../meta/support.js';

type Test = Parameters<typeof testFolder>[0];
const TARGET = 1 as TargetId;
/** A handle is the number of an opening above the number of a file. */
const HANDLE_UNIT = 2 ** 32;

/** Bytes of files by FID: what the storage targets hold. */
export class StoredData {
  readonly #files = new Map<Fid, Buffer>();
  get(fid: Fid): Buffer {
    return this.#files.get(fid) ?? Buffer.alloc(0);
  }
  write(fid: Fid, offset: number, bytes: Uint8Array): void {
    const old = this.get(fid);
    const data = Buffer.alloc(Math.max(old.length, offset + bytes.length));
    old.copy(data);
    data.set(bytes, offset);
    this.#files.set(fid, data);
  }
  cut(fid: Fid, size: number): void {
    if (this.get(fid).length > size) this.#files.set(fid, this.get(fid).subarray(0, size));
  }
}

/** What FileTable does for this process: sizes, times, reads clipped at the size with holes as zeros. */
export class MemoryFiles implements FileIo {
  readonly native: NativeFiles & NativeBuffers;
  readonly #states = new Float64Array(8 * 256);
  readonly #buffers = new Map<number, ArrayBufferLike>();
  readonly #fids = new Map<number, Fid>();
  readonly #data: StoredData;
  readonly operations: { readonly operation: FileIoOperation; readonly length: number }[] = [];
  inFlightMax = 0;
  #handles = 0;
  readonly closedHandles: number[] = [];
  #inFlight = 0;
  #clock = 1_700_000_000_000_000;
  failWrites: IbexError | undefined;

  constructor(data: StoredData) {
    this.#data = data;
    let buffers = 0;
    this.native = {
      fileStates: this.#states.buffer,
      openFile: (fid, _stripe, _targets, size) => {
        let slot = 1;
        while (this.#fids.has(slot)) slot++;
        this.#fids.set(slot, fid as Fid);
        this.#states.fill(0, slot * 8, slot * 8 + 8);
        this.#states[slot * 8] = size;
        return slot;
      },
      closeFile: (slot) => void this.#fids.delete(slot),
      openHandle: (slot) => ++this.#handles * HANDLE_UNIT + slot,
      closeHandle: (handle) => void this.closedHandles.push(handle),
      setFileSize: (slot, size) => {
        this.#states[slot * 8] = size;
      },
      adoptFileSize: (slot, size) => {
        if (this.#states[slot * 8 + 1] === 0) this.#states[slot * 8] = size;
      },
      settleFile: (slot, mtime) => {
        if (this.#states[slot * 8 + 1] === mtime) this.#states[slot * 8 + 1] = 0;
      },
      registerBuffer: (memory) => {
        this.#buffers.set(++buffers, memory instanceof Uint8Array ? memory.buffer : memory);
        return buffers;
      },
      releaseBuffer: (slot) => void this.#buffers.delete(slot),
    };
  }

  get openSlots(): number {
    return this.#fids.size;
  }
  get registeredBuffers(): number {
    return this.#buffers.size;
  }

  /** As a write of a program through a mount. */
  write(file: number, offset: number, bytes: Uint8Array): void {
    const slot = file % HANDLE_UNIT;
    const fid = this.#fids.get(slot);
    if (fid === undefined) throw new IbexError('ERR_BAD_DESCRIPTOR');
    this.#data.write(fid, offset, bytes);
    this.#states[slot * 8] = Math.max(this.#states[slot * 8]!, offset + bytes.length);
    this.#states[slot * 8 + 1] = this.#clock += 1000;
  }

  readonly fileIo: FileIo['fileIo'] = async (operation, file, io) => {
    const slot = file % HANDLE_UNIT;
    this.operations.push({ operation, length: io.length });
    this.#inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.#inFlight);
    await new Promise((resolve) => setImmediate(resolve));
    this.#inFlight -= 1;
    const fid = this.#fids.get(slot);
    if (fid === undefined) throw new IbexError('ERR_BAD_DESCRIPTOR', 'no such slot');
    if (operation === FileIoOperation.flush || operation === FileIoOperation.sync) return 0;
    const view = new Uint8Array(this.#buffers.get(io.slot)!, io.slotOffset, io.length);
    if (operation === FileIoOperation.write) {
      if (this.failWrites !== undefined) throw this.failWrites;
      this.write(slot, io.offset, view);
      return io.length;
    }
    const bytes = Math.max(0, Math.min(io.length, this.#states[slot * 8]! - io.offset));
    view.fill(0, 0, bytes);
    view.set(this.#data.get(fid).subarray(io.offset, io.offset + bytes));
    return bytes;
  };
}

export class LocalCluster implements MetadataCalls, ManagementCalls {
  readonly data = new StoredData();
  readonly calls: string[] = [];
  readonly map = clusterMap(4);
  readonly fileSystems: ClusterFileSystem[] = [];
  readonly #target: TestTarget;
  readonly #clientId: string;

  private constructor(target: TestTarget, clientId: string) {
    this.#target = target;
    this.#clientId = clientId;
  }

  static async start(t: Test): Promise<LocalCluster> {
    const folder = testFolder(t);
    const target = await openTarget(folder);
    const cluster = new LocalCluster(target, 'one');
    // Clients first: what they release is still answered.
    t.teardown(async () => {
      for (const fs of cluster.fileSystems) await fs.close();
      await target.target.close();
    });
    return cluster;
  }

  /** The same cluster seen by another client process. */
  otherClient(): LocalCluster {
    const other = new LocalCluster(this.#target, 'two');
    return Object.assign(other, { data: this.data, fileSystems: this.fileSystems });
  }

  metaOf(): TargetId {
    return TARGET;
  }

  async meta<M extends Message>(_fid: Fid, message: M, request: RequestOf<M>): Promise<ResponseOf<M>> {
    this.calls.push(message.name);
    const name = message.name.slice('meta.'.length) as keyof typeof meta;
    const sent = Buffer.from(encodeBody(message.request, request));
    const received = decodeBody(message.request, sent, 0, sent.length) as never;
    const response = await this.#target.call(name, received, { clientId: this.#clientId });
    const { fid, size, truncate } = request as { fid: Fid; size?: number; truncate?: boolean };
    if (name === 'setAttributes' && size !== undefined) this.data.cut(fid, size);
    if (name === 'open' && truncate === true) this.data.cut(fid, 0);
    const answer = Buffer.from(encodeBody(message.response, response));
    return decodeBody(message.response, answer, 0, answer.length) as ResponseOf<M>;
  }

  metaTarget<M extends Message>(_target: TargetId, message: M, request: RequestOf<M>): Promise<ResponseOf<M>> {
    return this.meta(1 as Fid, message, request);
  }

  async mgmtd<M extends Message>(message: M): Promise<ResponseOf<M>> {
    if (message.operation !== mgmt.usage.operation) throw new IbexError('ERR_UNKNOWN_OPERATION');
    return { usage: [{ target: 101, bytesTotal: 8192e3, bytesFree: 4096e3, inodesTotal: 0, inodesFree: 0 }] } as ResponseOf<M>;
  }

  /** A client of it. */
  fileSystem(directoryCacheMs = 60_000): { fs: ClusterFileSystem; files: MemoryFiles; open: OpenFiles; buffers: BufferRegistry } {
    const files = new MemoryFiles(this.data);
    const open = new OpenFiles(this, files, (error) => {
      throw error;
    });
    const buffers = new BufferRegistry(files.native);
    const fs = new ClusterFileSystem({
      core: { calls: this, io: files, buffers, files: open },
      management: this,
      map: () => this.map,
      identity: { uid: 1000, gid: 1000, groups: [] },
      umask: 0o022,
      directoryCacheMs,
      counters: () => ({}),
      shutdown: async () => {},
    });
    this.fileSystems.push(fs);
    return { fs, files, open, buffers };
  }
}
