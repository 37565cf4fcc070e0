/** Back to RDMA: a session that fell back to TCP looks at growing intervals whether both sides could make queue pairs again. */
import { setTimeout as pause } from 'node:timers/promises';
import { peer } from '../wire/messages.js';
import type { Backoff } from './backoff.js';
import type { Carriers } from './carrier.js';
import type { Session } from './session.js';

const ANSWER_MS = 5_000;

async function peerTrouble(session: Session): Promise<string> {
  try {
    const { trouble } = await session.call(peer.rdmaTrouble, {}, { timeoutMs: ANSWER_MS });
    return trouble;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Resolves to true when both sides can, to false when the session has ended before. Keeps no process alive. */
export async function untilRdmaIsBack(session: Session, carriers: Pick<Carriers, 'trouble'>, backoff: Backoff): Promise<boolean> {
  while (session.isOpen) {
    await pause(backoff.nextMs(), undefined, { ref: false });
    if (!session.isOpen) break;
    if (carriers.trouble() === '' && (await peerTrouble(session)) === '') return session.isOpen;
  }
  return false;
}
