/** Messages as they arrive. */
import type { Arena } from './arena.js';
import { invalid, RdmaError } from './errors.js';
import type { Message } from './operation.js';
import type { QueuePair } from './queue-pair.js';

export interface ReceiveOptions {
  /** Receives that are kept posted (16): a sender may have so many messages on the way. */
  readonly count?: number;
  /** Bytes of the longest message (8192). */
  readonly bytes?: number;
  /** Aborting ends the iteration with the signal's reason. */
  readonly signal?: AbortSignal;
}

const COUNT = 16;
const BYTES = 8192;

interface Posted {
  readonly memory: Uint8Array;
  readonly message: Promise<Message>;
}

/**
 * The first receives are posted before the first `next()`: at the call itself. A message's data is valid until the next
 * one is asked for; then its memory is posted again.
 */
export function receiveMessages(
  queuePair: QueuePair,
  arena: Arena,
  { count = COUNT, bytes = BYTES, signal }: ReceiveOptions,
): AsyncGenerator<Message, void, undefined> {
  if (!(Number.isInteger(count) && count > 0 && count <= queuePair.receiveDepth))
    throw invalid(`count is ${count}: give a whole number from 1 to the receive depth, ${queuePair.receiveDepth}`);
  const memory = Array.from({ length: count }, () => arena.alloc(bytes));
  // Ends the receives that are left over when the iteration ends, and with it the quarantine keeps their memory.
  const stop = new AbortController();
  const post = (view: Uint8Array): Posted => {
    const message = queuePair.recv(view, { signal: stop.signal });
    // Most are looked at long after they have failed.
    message.catch(() => undefined);
    return { memory: view, message };
  };
  const onAbort = (): void => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  const posted = memory.map(post);
  return (async function* messages() {
    try {
      for (;;) {
        const { memory: view, message } = posted.shift() as Posted;
        const got = await message.catch((error: unknown) => endOf(queuePair, error));
        if (got === undefined) return;
        yield got;
        posted.push(post(view));
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      stop.abort();
      for (const view of memory) arena.free(view);
    }
  })();
}

/** That we closed it ourselves is the end of the messages, no error. */
function endOf(queuePair: QueuePair, error: unknown): undefined {
  const ended = error instanceof RdmaError && (error.code === 'ERR_RDMA_FLUSHED' || error.code === 'ERR_RDMA_CLOSED');
  if (ended && queuePair.state === 'closed' && queuePair.failure === undefined) return undefined;
  throw error;
}
