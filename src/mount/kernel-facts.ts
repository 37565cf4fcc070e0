/**
 * What native code may answer the kernel by itself, told in time: the kernel forgets a directory's attributes at
 * every change it makes there and asks again at the next path walk, and it asks for `security.capability` before
 * the first write to every file. Both are known here already, and are as good as any other attributes: for the
 * attribute validity. A fact is told before the answer that lets a program go on.
 */
import type { Fid } from '../wire/fid.js';
import { FuseFact, type FuseFactsCommand } from '../wire/generated.js';
import type { Attributes } from '../wire/messages.js';
import { attributeFields } from './replies.js';

export interface FactSink {
  fuseFacts(fields: Partial<FuseFactsCommand>, untilMs: number, name?: Uint8Array): void;
}

/** Directories whose latest state is remembered; the oldest go first. */
const DIRECTORIES_MAX = 4096;

export class KernelFacts {
  readonly #sink: FactSink;
  readonly #session: () => number;
  readonly #validMs: number;
  readonly #nowMs: () => number;
  /** Answers may overtake each other: an older state must not be told after a newer one. */
  readonly #changes = new Map<Fid, number>();

  /** session: the number of the mount that they are told to; validMs: the attribute validity. */
  constructor(sink: FactSink, session: () => number, validMs: number, nowMs: () => number) {
    this.#sink = sink;
    this.#session = session;
    this.#validMs = validMs;
    this.#nowMs = nowMs;
  }

  /** A directory as it is after a change in it; undefined: it changed in a way that no answer told. */
  changed(fid: Fid, directory: Attributes | undefined): void {
    if (directory === undefined) {
      this.forget(fid);
      return;
    }
    const known = this.#changes.get(fid) ?? 0;
    if (known > directory.change || this.#validMs === 0) return;
    this.#changes.delete(fid);
    this.#changes.set(fid, directory.change);
    if (this.#changes.size > DIRECTORIES_MAX) this.#changes.delete(this.#changes.keys().next().value as Fid);
    const fields = { ...attributeFields(directory), session: this.#session(), facts: FuseFact.attributes, node: fid };
    this.#sink.fuseFacts(fields, this.#nowMs() + this.#validMs);
  }

  /** This mount has just created it: it has no extended attributes. */
  created(fid: Fid): void {
    this.#sink.fuseFacts({ session: this.#session(), facts: FuseFact.noXattrs, node: fid }, this.#nowMs() + this.#validMs);
  }

  /** Nothing that was told of it holds any more. */
  forget(fid: Fid): void {
    this.#sink.fuseFacts({ session: this.#session(), facts: FuseFact.forget, node: fid }, 0);
  }
}
