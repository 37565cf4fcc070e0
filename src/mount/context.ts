/** What the operations of one mount share. */
import type { Logger } from 'pino';
import type { MetadataCalls } from '../client/backend.js';
import type { OpenFiles } from '../client/open-files.js';
import type { Space } from '../client/types.js';
import type { FuseRequestEvent } from '../wire/generated.js';
import type { KernelFacts } from './kernel-facts.js';
import type { KnownDirectories } from './known-directories.js';
import type { RecentChanges } from './recent-changes.js';
import type { Replies } from './replies.js';
import type { ToldAttributes } from './told-attributes.js';

export interface MountContext {
  readonly calls: MetadataCalls;
  readonly files: OpenFiles;
  readonly replies: Replies;
  readonly told: ToldAttributes;
  readonly changes: RecentChanges;
  readonly facts: KernelFacts;
  readonly directories: KnownDirectories;
  readonly logger: Logger;
  /** Room in the file system, at most a second old. */
  readonly space: () => Promise<Space>;
  /** Makes the kernel forget attributes (not pages) of an inode. */
  readonly invalidate: (node: number) => void;
  /** Milliseconds, monotonic, also while the machine is suspended. */
  readonly now: () => number;
}

/**
 * Answers one request through `context.replies`, now or later; what it throws or rejects with becomes the
 * errno. Names lie in source from `start` on and are valid during the call only.
 */
export type Operation = (request: FuseRequestEvent, source: Buffer, start: number) => Promise<unknown> | undefined;
export type Operations = Readonly<Record<number, Operation>>;

/** One RPC, one answer: costs one promise beside the call's own. `failed` is told before the program is. */
export function answer<T>(
  context: MountContext,
  request: FuseRequestEvent,
  call: Promise<T>,
  reply: (value: T) => void,
  failed?: (error: unknown) => void,
): undefined {
  call.then(
    (value) => {
      try {
        reply(value);
      } catch (error) {
        context.replies.fail(request, error);
      }
    },
    (error: unknown) => {
      failed?.(error);
      context.replies.fail(request, error);
    },
  );
  return undefined;
}
