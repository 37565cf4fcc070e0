/**
 * The files this process has open: one native slot per inode, shared by all handles. Tells the metadata server
 * what was written (settle), what is no longer open (release, gathered over a turn), and after it restarted
 * what is still open (reopen). It knows no paths and no handles.
 */
import type { Session } from '../net/session.js';
import { IbexError } from '../wire/errors.js';
import type { Fid, TargetId } from '../wire/fid.js';
import { FileIoOperation } from '../wire/generated.js';
import { type Attributes, type Layout, meta } from '../wire/messages.js';
import type { FileIo, MetadataCalls } from './backend.js';
import { FileStates, fromMicroseconds } from './file-states.js';

export interface OpenFile {
  readonly fid: Fid;
  /** Native code's number of it (FileId). */
  readonly slot: number;
  readonly layout: Layout;
  /** Opens of it, each of which ends in one release. */
  readers: number;
  writers: number;
  /** Where the last append that is still under way ends. */
  appendEnd: number;
  appendsInFlight: number;
}

interface Opening {
  readonly fid: Fid;
  readonly write: boolean;
}

/** Releases wait this long for company: nobody waits for them, and one call for many costs the server less. */
const RELEASE_DELAY_MS = 10;
/** As many as meta.release and meta.reopen take at once. */
const BATCH_MAX = 4096;
const NO_BUFFER = { offset: 0, slot: 0, slotOffset: 0, length: 0 };

export class OpenFiles {
  readonly states: FileStates;
  readonly #calls: MetadataCalls;
  readonly #io: FileIo;
  readonly #warn: (error: unknown, what: string) => void;
  readonly #files = new Map<Fid, OpenFile>();
  #releases: Opening[] = [];
  #releaseScheduled = false;
  #releaseTimer: NodeJS.Timeout | undefined;
  #releasing: Promise<void> = Promise.resolve();

  constructor(calls: MetadataCalls, io: FileIo, warn: (error: unknown, what: string) => void) {
    this.#calls = calls;
    this.#io = io;
    this.#warn = warn;
    this.states = new FileStates(io.native);
  }

  get count(): number {
    return this.#files.size;
  }

  get(fid: Fid): OpenFile | undefined {
    return this.#files.get(fid);
  }

  values(): Iterable<OpenFile> {
    return this.#files.values();
  }

  /** The metadata server has opened it (open or create) with these attributes, which are merged in place. */
  opened(attributes: Attributes, layout: Layout, write: boolean): OpenFile {
    const { fid } = attributes;
    let file = this.#files.get(fid);
    if (file === undefined) {
      let slot: number;
      try {
        slot = this.#io.native.openFile(fid, layout.stripeSize, Uint32Array.from(layout.targets), attributes.size);
      } catch (error) {
        this.#queueRelease({ fid, write });
        throw error;
      }
      file = { fid, slot, layout, readers: 0, writers: 0, appendEnd: 0, appendsInFlight: 0 };
      this.#files.set(fid, file);
    } else {
      this.states.merge(file.slot, attributes);
    }
    if (write) file.writers += 1;
    else file.readers += 1;
    return file;
  }

  /** Attributes from the metadata server, with what was written here since. */
  merge(attributes: Attributes): Attributes {
    if (this.#files.size === 0) return attributes;
    const file = this.#files.get(attributes.fid);
    return file === undefined ? attributes : this.states.merge(file.slot, attributes);
  }

  isDirty(file: OpenFile): boolean {
    return this.states.mtimeUs(file.slot) !== 0;
  }

  /** For who is to be told what fails of the file from now on; ended by `closeHandle`. */
  openHandle(file: OpenFile): number {
    return this.#io.native.openHandle(file.slot);
  }

  closeHandle(handle: number): void {
    this.#io.native.closeHandle(handle);
  }

  /** Resolves when the targets have answered every write; what failed is for the handles. */
  drain(file: OpenFile, what: string): Promise<number> {
    return this.#io.fileIo(FileIoOperation.flush, file.slot, NO_BUFFER, what);
  }

  /** Resolves when the disks of the targets have every write; rejects with what this handle was not told yet. */
  sync(handle: number, what: string): Promise<number> {
    return this.#io.fileIo(FileIoOperation.sync, handle, NO_BUFFER, what);
  }

  /**
   * Reports size and time of what was written; undefined when there was nothing to say.
   * durable: the metadata server has them on disk too when this resolves.
   */
  async settle(file: OpenFile, durable: boolean, signal?: AbortSignal): Promise<Attributes | undefined> {
    const mtimeUs = this.states.mtimeUs(file.slot);
    if (mtimeUs === 0) {
      if (durable) await this.#calls.meta(file.fid, meta.sync, { fid: file.fid }, { signal });
      return undefined;
    }
    const { seconds, nanoseconds } = fromMicroseconds(mtimeUs);
    const request = { fid: file.fid, size: this.states.size(file.slot), mtime: seconds, mtimeNs: nanoseconds, durable };
    const { attributes } = await this.#calls.meta(file.fid, meta.settle, request, { signal });
    this.states.settled(file.slot, mtimeUs);
    return this.states.merge(file.slot, attributes);
  }

  /** Writes of other handles first, so that none of them undoes the cut or overrides the times. Answers as settle. */
  async settleBeforeChange(fid: Fid, what: string, signal?: AbortSignal): Promise<Attributes | undefined> {
    const file = this.#files.get(fid);
    if (file === undefined || !this.isDirty(file)) return undefined;
    await this.drain(file, what);
    return this.settle(file, false, signal);
  }

  /** The metadata server has cut or extended the file. */
  resized(fid: Fid, size: number): void {
    const file = this.#files.get(fid);
    if (file !== undefined) this.states.setSize(file.slot, size);
  }

  /** One open less. The caller has settled what was to be settled. */
  release(file: OpenFile, write: boolean): void {
    if (write) file.writers -= 1;
    else file.readers -= 1;
    if (file.readers < 0 || file.writers < 0) throw new IbexError('ERR_INTERNAL', `file ${file.fid} was released more often than opened`);
    if (file.readers + file.writers === 0) {
      this.#files.delete(file.fid);
      this.#io.native.closeFile(file.slot);
    }
    this.#queueRelease({ fid: file.fid, write });
  }

  /** For every new session with a metadata target: what is open of its files, once per open, before other calls use it. */
  async reopen(target: TargetId, session: Pick<Session, 'call'>): Promise<void> {
    const openings: Opening[] = [];
    for (const file of this.#files.values()) {
      if (this.#calls.metaOf(file.fid) !== target) continue;
      for (let i = 0; i < file.readers; i++) openings.push({ fid: file.fid, write: false });
      for (let i = 0; i < file.writers; i++) openings.push({ fid: file.fid, write: true });
    }
    for (let i = 0; i < openings.length; i += BATCH_MAX) {
      await session.call(meta.reopen, { files: openings.slice(i, i + BATCH_MAX) });
    }
  }

  /** Resolves when every release so far has been answered. */
  async released(): Promise<void> {
    this.#sendReleases();
    await this.#releasing;
  }

  #queueRelease(opening: Opening): void {
    this.#releases.push(opening);
    if (this.#releases.length >= BATCH_MAX) this.#sendReleases();
    if (this.#releaseScheduled || this.#releases.length === 0) return;
    this.#releaseScheduled = true;
    this.#releaseTimer = setTimeout(() => this.#sendReleases(), RELEASE_DELAY_MS);
  }

  #sendReleases(): void {
    this.#releaseScheduled = false;
    clearTimeout(this.#releaseTimer);
    if (this.#releases.length === 0) return;
    const byTarget = new Map<TargetId, Opening[]>();
    for (const opening of this.#releases) {
      let owner: TargetId;
      try {
        owner = this.#calls.metaOf(opening.fid);
      } catch (error) {
        this.#warn(error, `release of file ${opening.fid}`);
        continue;
      }
      const list = byTarget.get(owner);
      if (list === undefined) byTarget.set(owner, [opening]);
      else list.push(opening);
    }
    this.#releases = [];
    const sent: Promise<unknown>[] = [this.#releasing];
    for (const [owner, openings] of byTarget) {
      for (let i = 0; i < openings.length; i += BATCH_MAX) {
        const files = openings.slice(i, i + BATCH_MAX);
        sent.push(
          this.#calls
            .metaTarget(owner, meta.release, { files })
            .catch((error: unknown) => this.#warn(error, `release of ${files.length} files`)),
        );
      }
    }
    this.#releasing = Promise.all(sent).then(() => undefined);
  }
}
