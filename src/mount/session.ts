/** One mount's requests: which operation answers which, and what becomes of errors. */
import { FuseOperation, type FuseRequestEvent } from '../wire/generated.js';
import { attributeOperations } from './attributes.js';
import type { MountContext, Operations } from './context.js';
import { directoryOperations } from './directories.js';
import { fileOperations } from './file-operations.js';
import { ErrnoError } from './linux.js';
import { nameOperations } from './names.js';
import { xattrOperations } from './xattrs.js';

const ENOSYS = 38;
/** One forgotten inode: its node and how many lookups are taken back. */
const FORGET_BYTES = 16;

export class MountSession {
  readonly #context: MountContext;
  readonly #operations: Operations;

  constructor(context: MountContext) {
    this.#context = context;
    this.#operations = {
      ...nameOperations(context),
      ...attributeOperations(context),
      ...fileOperations(context),
      ...directoryOperations(context),
      ...xattrOperations(context),
      [FuseOperation.forget]: (request, source, start) => this.#forget(request, source, start),
      [FuseOperation.destroy]: () => undefined,
    };
  }

  /** A request of the kernel; its names lie in source from `start` on, during this call only. */
  handle(request: FuseRequestEvent, source: Buffer, start: number): void {
    const { replies } = this.#context;
    try {
      const operation = this.#operations[request.operation];
      if (operation === undefined) throw new ErrnoError(ENOSYS, `operation ${request.operation} is not served`);
      operation(request, source, start)?.catch((error: unknown) => replies.fail(request, error));
    } catch (error) {
      replies.fail(request, error);
    }
  }

  /** What is told of an inode is dropped with the first lookup taken back: at worst a cache is refilled. */
  #forget(request: FuseRequestEvent, source: Buffer, start: number): undefined {
    const { told } = this.#context;
    for (let at = start; at + FORGET_BYTES <= start + request.nameLength; at += FORGET_BYTES) {
      told.forget(source.readUInt32LE(at) + source.readUInt32LE(at + 4) * 4294967296);
    }
    return undefined;
  }
}
