/** Lists that mgmtd gives out in pages, whole. */
import { type CallOptions, deadlineOf } from '../net/session.js';
import { IbexError } from '../wire/errors.js';
import { mgmt, type ResponseOf, type Usage } from '../wire/messages.js';
import type { ManagementCalls } from './backend.js';

/** Latest figures of every target. */
export function everyUsage(management: ManagementCalls, options: CallOptions = {}): Promise<Usage[]> {
  return everyPage(options, async (after, each) => {
    const { usage, next } = await management.mgmtd(mgmt.usage, { after }, each);
    return { items: usage, next };
  });
}

/** Clients that hold a session with mgmtd. */
export function everyClient(management: ManagementCalls, options: CallOptions = {}): Promise<ResponseOf<typeof mgmt.clients>['clients']> {
  return everyPage(options, async (after, each) => {
    const { clients, next } = await management.mgmtd(mgmt.clients, { after }, each);
    return { items: clients, next };
  });
}

/** What the sessions of the nodes go over. */
export function everyCarrier(
  management: ManagementCalls,
  options: CallOptions = {},
): Promise<ResponseOf<typeof mgmt.carriers>['carriers']> {
  return everyPage(options, async (after, each) => {
    const { carriers, next } = await management.mgmtd(mgmt.carriers, { after }, each);
    return { items: carriers, next };
  });
}

/** The time that a call has is for all pages together. */
async function everyPage<Item>(
  options: CallOptions,
  fetch: (after: number, options: CallOptions) => Promise<{ items: Item[]; next?: number | undefined }>,
): Promise<Item[]> {
  const each = { ...options, deadline: deadlineOf(options) };
  const all: Item[] = [];
  let after = 0;
  for (;;) {
    const { items, next } = await fetch(after, each);
    for (const item of items) all.push(item);
    if (next === undefined) return all;
    if (next <= after) throw new IbexError('ERR_BAD_REQUEST', 'mgmtd gave a page that leads back');
    after = next;
  }
}
