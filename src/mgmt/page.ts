/** Lists in pages, in order of ids: what RPCs and the HTTP API answer with. */

export interface PageRequest {
  /** Entries with a larger id than this. */
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
}

export interface Page<Entry> {
  items: Entry[];
  /** To be given as `after` for the page that follows; absent on the last one. */
  next?: number;
}

export const PAGE_ENTRIES_MAX = 1000;

/** `entries` are in order of ids. */
export function page<Entry>(
  entries: Iterable<Entry>,
  idOf: (entry: Entry) => number,
  { after = 0, limit = PAGE_ENTRIES_MAX }: PageRequest,
): Page<Entry> {
  const items: Entry[] = [];
  let next = after;
  for (const entry of entries) {
    const id = idOf(entry);
    if (id <= after) continue;
    if (items.length === limit) return { items, next };
    items.push(entry);
    next = id;
  }
  return { items };
}
