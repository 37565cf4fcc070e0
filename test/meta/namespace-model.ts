/** What a name space is, in the plainest form: the measure for random operations on a target. Errors are POSIX names. */
import type { meta, RequestOf } from '../../src/wire/messages.js';

export interface Node {
  kind: 'file' | 'directory' | 'symlink';
  links: number;
  mode: number;
  size: number;
  target: string;
  attributes: Map<string, string>;
  entries: Map<string, number>;
  parent: number;
}

export type RenameMode = RequestOf<typeof meta.rename>['mode'];

/** Nodes are numbered as they are made; 0 is the root. Removed ones leave the map. */
export class NamespaceModel {
  nodes = new Map<number, Node>([[0, node('directory', 0o755, 0)]]);
  next = 1;

  clone(): NamespaceModel {
    const copy = new NamespaceModel();
    copy.next = this.next;
    copy.nodes = new Map(
      [...this.nodes].map(([id, from]) => [id, { ...from, attributes: new Map(from.attributes), entries: new Map(from.entries) }]),
    );
    return copy;
  }

  /** Paths with everything that a user sees of them. */
  tree(id = 0, at = ''): Record<string, string> {
    const found: Record<string, string> = {};
    const self = this.nodes.get(id)!;
    found[at === '' ? '/' : at] = describe(self);
    for (const [name, child] of [...self.entries].sort(([a], [b]) => (a < b ? -1 : 1)))
      Object.assign(found, this.tree(child, `${at}/${name}`));
    return found;
  }

  make(parent: number, name: string, kind: Node['kind'], mode: number, target = ''): number | string {
    const directory = this.#directory(parent);
    if (typeof directory === 'string') return directory;
    if (directory.entries.has(name)) return 'EEXIST';
    const made = node(kind, mode, parent);
    made.target = target;
    made.size = target.length;
    const id = this.next++;
    this.nodes.set(id, made);
    directory.entries.set(name, id);
    if (kind === 'directory') directory.links++;
    return id;
  }

  link(id: number, parent: number, name: string): string | undefined {
    const directory = this.#directory(parent);
    if (typeof directory === 'string') return directory;
    const linked = this.nodes.get(id);
    if (linked === undefined) return 'ENOENT';
    if (linked.kind === 'directory') return 'EPERM';
    if (directory.entries.has(name)) return 'EEXIST';
    directory.entries.set(name, id);
    linked.links++;
    return undefined;
  }

  remove(parent: number, name: string, kind: 'file' | 'directory'): string | undefined {
    const directory = this.#directory(parent);
    if (typeof directory === 'string') return directory;
    const id = directory.entries.get(name);
    if (id === undefined) return 'ENOENT';
    const removed = this.nodes.get(id)!;
    if (kind === 'file' && removed.kind === 'directory') return 'EISDIR';
    if (kind === 'directory' && removed.kind !== 'directory') return 'ENOTDIR';
    if (removed.entries.size > 0) return 'ENOTEMPTY';
    directory.entries.delete(name);
    if (kind === 'directory') directory.links--;
    this.#unlink(id);
    return undefined;
  }

  rename(parent: number, name: string, newParent: number, newName: string, mode: RenameMode): string | undefined {
    const from = this.#directory(parent);
    const to = this.#directory(newParent);
    if (typeof from === 'string') return from;
    if (typeof to === 'string') return to;
    const id = from.entries.get(name);
    const otherId = to.entries.get(newName);
    if (id === undefined) return 'ENOENT';
    if (mode === 'keep' && otherId !== undefined) return 'EEXIST';
    if (mode === 'exchange' && otherId === undefined) return 'ENOENT';
    if (id === otherId) return undefined;
    const moved = this.nodes.get(id)!;
    const other = otherId === undefined ? undefined : this.nodes.get(otherId)!;
    if (moved.kind === 'directory' && this.#isBelow(newParent, id)) return 'EINVAL';
    if (mode === 'exchange' && other!.kind === 'directory' && this.#isBelow(parent, otherId!)) return 'EINVAL';
    if (mode !== 'exchange' && other !== undefined) {
      if (moved.kind === 'directory' && other.kind !== 'directory') return 'ENOTDIR';
      if (moved.kind !== 'directory' && other.kind === 'directory') return 'EISDIR';
      if (other.entries.size > 0) return 'ENOTEMPTY';
    }
    from.entries.delete(name);
    if (moved.kind === 'directory') from.links--;
    if (other !== undefined && other.kind === 'directory') to.links--;
    to.entries.set(newName, id);
    moved.parent = newParent;
    if (moved.kind === 'directory') to.links++;
    if (mode === 'exchange') {
      from.entries.set(name, otherId!);
      other!.parent = parent;
      if (other!.kind === 'directory') from.links++;
    } else if (otherId !== undefined) this.#unlink(otherId);
    return undefined;
  }

  #directory(id: number): Node | string {
    const found = this.nodes.get(id);
    if (found === undefined) return 'ENOENT';
    return found.kind === 'directory' ? found : 'ENOTDIR';
  }

  #isBelow(id: number, ancestor: number): boolean {
    for (let at = id; ; at = this.nodes.get(at)!.parent) {
      if (at === ancestor) return true;
      if (at === 0) return false;
    }
  }

  #unlink(id: number): void {
    const removed = this.nodes.get(id)!;
    removed.links--;
    if (removed.links === 0 || removed.kind === 'directory') this.nodes.delete(id);
  }
}

function node(kind: Node['kind'], mode: number, parent: number): Node {
  return {
    kind,
    links: kind === 'directory' ? 2 : 1,
    mode: kind === 'symlink' ? 0o777 : mode,
    size: 0,
    target: '',
    attributes: new Map(),
    entries: new Map(),
    parent,
  };
}

export function describe({ kind, links, mode, size, target, attributes }: Omit<Node, 'entries' | 'parent'>): string {
  const pairs = [...attributes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name}=${value}`);
  return [kind, links, mode.toString(8), kind === 'directory' ? 0 : size, target, ...pairs].join(' ');
}
