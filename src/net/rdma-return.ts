/**
 * Back to RDMA: a session that fell back to TCP ends when both sides could make queue pairs again. What ends is a working
 * session, so it must be likely that the next one goes over RDMA: one side had a trouble of its own, which is over. Where
 * neither has any, the path itself carries no RDMA, or there was no room: that is tried again after an hour.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { peer } from '../wire/messages.js';
import type { Backoff } from './backoff.js';
import type { Carriers } from './carrier.js';
import { monotonicMs } from './runtime.js';
import type { Session } from './session.js';

const ANSWER_MS = 5_000;
export const PATH_RETRY_MS = 3_600_000;

/** What is known of a session over TCP. */
export interface Outlook {
  /** What keeps each side from making queue pairs now; empty: nothing; undefined: it did not say. */
  readonly own: string;
  readonly peer: string | undefined;
  /** Whether one of them had a trouble at an earlier look at this session. */
  readonly hadTrouble: boolean;
  readonly sessionAgeMs: number;
}

/** Whether to end it for one over RDMA. */
export function mayReturn({ own, peer, hadTrouble, sessionAgeMs }: Outlook): boolean {
  if (own !== '' || peer !== '') return false;
  return hadTrouble || sessionAgeMs >= PATH_RETRY_MS;
}

async function peerTrouble(session: Session): Promise<string | undefined> {
  try {
    const { trouble } = await session.call(peer.rdmaTrouble, {}, { timeoutMs: ANSWER_MS });
    return trouble;
  } catch {
    return undefined;
  }
}

/** Resolves to true when it may return, to false when the session has ended before. Keeps no process alive. */
export async function untilRdmaIsBack(session: Session, carriers: Pick<Carriers, 'trouble'>, backoff: Backoff): Promise<boolean> {
  const started = monotonicMs();
  // The first look is at once: the trouble that the session began with may be over at the next.
  for (let hadTrouble = false; session.isOpen; await pause(backoff.nextMs(), undefined, { ref: false })) {
    const own = carriers.trouble();
    const others = own === '' ? await peerTrouble(session) : undefined;
    if (mayReturn({ own, peer: others, hadTrouble, sessionAgeMs: monotonicMs() - started })) return session.isOpen;
    hadTrouble ||= own !== '' || (others !== undefined && others !== '');
  }
  return false;
}
