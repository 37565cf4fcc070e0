/**
 * A change of the cluster map as it travels: in pages that one message holds with room to spare, all of them
 * between the same two versions. The whole map travels the same way, as the change from the empty one.
 */
import type { MapChange } from './cluster-map.js';

export interface MapPage extends MapChange {
  /** The change goes on in the next page; only the whole of it may be applied. */
  readonly more: boolean;
}

/** Some 250 targets. What a slow subscriber keeps queued at mgmtd is one page. */
export const PAGE_BYTES_MAX = 64 * 1024;

/** Every list of a change, always in this order. */
function listsOf({ nodes, targets, pools, groups, sequences, removed }: MapChange): readonly (readonly unknown[])[] {
  return [nodes, targets, pools, groups, sequences, removed.nodes, removed.targets, removed.pools, removed.groups, removed.sequences];
}

function withoutEntries({ from, to, rootTarget }: MapChange): MapChange {
  const removed = { nodes: [], targets: [], pools: [], groups: [], sequences: [] };
  return {
    from,
    to,
    nodes: [],
    targets: [],
    pools: [],
    groups: [],
    sequences: [],
    removed,
    ...(rootTarget === undefined ? {} : { rootTarget }),
  };
}

function add(change: MapChange, list: number, entries: readonly unknown[]): void {
  const own = listsOf(change)[list] as unknown[];
  for (const entry of entries) own.push(entry);
}

/** At least one page. An entry that is larger than a page has one of its own. */
export function pagesOf(change: MapChange, pageBytesMax = PAGE_BYTES_MAX): readonly MapPage[] {
  let last = withoutEntries(change);
  let bytes = 0;
  const pages = [last];
  for (const [list, entries] of listsOf(change).entries()) {
    for (const entry of entries) {
      // As JSON, with its keys, an entry is longer than as it travels.
      const entryBytes = Buffer.byteLength(JSON.stringify(entry));
      if (bytes > 0 && bytes + entryBytes > pageBytesMax) {
        last = withoutEntries(change);
        pages.push(last);
        bytes = 0;
      }
      add(last, list, [entry]);
      bytes += entryBytes;
    }
  }
  return pages.map((page, index) => ({ ...page, more: index < pages.length - 1 }));
}

/** The change that was cut into these pages. */
export function joinPages(pages: readonly [MapPage, ...MapPage[]]): MapChange {
  const whole = withoutEntries(pages[0]);
  // What a sender does not know yet it leaves out.
  for (const page of pages) for (const [list, entries] of listsOf(page).entries()) add(whole, list, entries ?? []);
  return whole;
}
