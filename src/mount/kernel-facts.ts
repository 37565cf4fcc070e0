/**
 * Tells native code what it may answer the kernel by itself. The kernel forgets a directory's attributes at every
 * change it makes there and asks again at the next path walk; it asks for `security.capability` before the first
 * write to every file; it looks a name up before it creates it. Times are milliseconds of bootTimeMs. A fact is to be told
 * before the answer that lets a program go on.
 */
import type { Fid } from '../wire/fid.js';
import { FuseFact, type FuseFactsCommand } from '../wire/generated.js';
import type { Attributes } from '../wire/messages.js';
import { attributeFields } from './replies.js';

export interface FactSink {
  fuseFacts(fields: Partial<FuseFactsCommand>, untilMs: number, name?: Uint8Array): void;
}

export class KernelFacts {
  readonly #sink: FactSink;
  readonly #session: () => number;

  /** session: the number of the mount that they are told to. */
  constructor(sink: FactSink, session: () => number) {
    this.#sink = sink;
    this.#session = session;
  }

  attributes(directory: Attributes, untilMs: number): void {
    const fields = { ...attributeFields(directory), session: this.#session(), facts: FuseFact.attributes, node: directory.fid };
    this.#sink.fuseFacts(fields, untilMs);
  }

  noXattrs(fid: Fid, untilMs: number): void {
    this.#tell(fid, FuseFact.noXattrs, untilMs);
  }

  /** The directory has no names. */
  empty(fid: Fid, untilMs: number): void {
    this.#tell(fid, FuseFact.empty, untilMs);
  }

  /** The directory has no other names than those told since `empty`, and this one. */
  names(fid: Fid, untilMs: number, name?: string): void {
    this.#tell(fid, FuseFact.names, untilMs, name);
  }

  /** Nothing that was told of it holds any more. */
  forget(fid: Fid): void {
    this.#tell(fid, FuseFact.forget, 0);
  }

  #tell(fid: Fid, facts: FuseFact, untilMs: number, name?: string): void {
    const fields = { session: this.#session(), facts, node: fid };
    this.#sink.fuseFacts(fields, untilMs, name === undefined ? undefined : Buffer.from(name));
  }
}
