/** `ibex ls`: names in a directory, and with -l what is known of them. */

import type { Command } from 'commander';
import type { Dirent, Stats } from '../../client/stats.js';
import type { FileSystem } from '../../client/types.js';
import { withFiles } from '../connections.js';
import { action, type Context, examples } from '../context.js';
import { formatBytes, formatMode, formatTime } from '../output/format.js';
import { type Column, renderTable } from '../output/table.js';
import { terminalColumns } from '../output/terminal.js';
import { printable } from '../output/text.js';
import { filePath } from '../paths.js';

interface Options {
  readonly long?: boolean;
  readonly all?: boolean;
  readonly recursive?: boolean;
}

interface Row {
  readonly name: string;
  readonly type: string;
  readonly stats?: Stats | undefined;
}

/** Long listings are printed in pieces of so many rows: memory does not grow with the directory. */
const ROWS_AT_ONCE = 2000;

const columns: readonly Column<Row>[] = [
  { title: 'MODE', value: ({ stats }) => (stats === undefined ? '' : formatMode(stats.mode)) },
  { title: 'LINKS', align: 'right', value: ({ stats }) => String(stats?.nlink ?? '') },
  { title: 'UID', align: 'right', value: ({ stats }) => String(stats?.uid ?? '') },
  { title: 'GID', align: 'right', value: ({ stats }) => String(stats?.gid ?? '') },
  { title: 'SIZE', align: 'right', value: ({ stats }) => (stats === undefined ? '' : formatBytes(stats.size)) },
  { title: 'MODIFIED', value: ({ stats }) => (stats === undefined ? '' : formatTime(stats.mtime)) },
  { title: 'NAME', value: ({ name }) => name },
];

function typeOf(entry: Dirent | Stats): string {
  if (entry.isDirectory()) return 'directory';
  if (entry.isSymbolicLink()) return 'symlink';
  return entry.isFile() ? 'file' : 'other';
}

function document({ name, type, stats }: Row): Record<string, unknown> {
  if (stats === undefined) return { name, type };
  const { mode, nlink, uid, gid, size, mtime, fid } = stats;
  return { name, type, inode: fid, mode, links: nlink, uid, gid, size, modified: mtime.toISOString() };
}

class Listing {
  readonly #context: Context;
  readonly #options: Options;
  readonly #documents: Record<string, unknown>[] = [];
  #titles = true;

  constructor(context: Context, options: Options) {
    this.#context = context;
    this.#options = options;
  }

  async add(files: FileSystem, path: string): Promise<void> {
    const { signal } = this.#context;
    const stats = await files.stat(path, { signal }).catch((error: NodeJS.ErrnoException) => {
      // A link that leads nowhere is listed itself.
      if (error.code !== 'ENOENT') throw error;
      return files.lstat(path, { signal });
    });
    if (!stats.isDirectory()) {
      this.#rows([{ name: path, type: typeOf(stats), stats }]);
      return;
    }
    await this.#directory(files, path, '');
  }

  async #directory(files: FileSystem, path: string, prefix: string): Promise<void> {
    const below: string[] = [];
    let rows: Row[] = [];
    const withStats = this.#options.long === true;
    for await (const entry of await files.opendir(path, { withStats, signal: this.#context.signal })) {
      if (this.#options.all !== true && entry.name.startsWith('.')) continue;
      rows.push({ name: prefix + entry.name, type: typeOf(entry), stats: entry.stats });
      if (this.#options.recursive === true && entry.isDirectory()) below.push(entry.name);
      if (rows.length < ROWS_AT_ONCE) continue;
      this.#rows(rows);
      rows = [];
    }
    this.#rows(rows);
    for (const name of below.sort()) await this.#directory(files, `${path === '/' ? '' : path}/${name}`, `${prefix}${name}/`);
  }

  #rows(unsorted: Row[]): void {
    const rows = unsorted.sort((a, b) => (a.name < b.name ? -1 : 1));
    const { out } = this.#context;
    if (out.json) this.#documents.push(...rows.map(document));
    else if (this.#options.long !== true) for (const { name, type } of rows) out.line(printable(name) + (type === 'directory' ? '/' : ''));
    else if (rows.length > 0) {
      const lines = renderTable(columns, rows, terminalColumns(process.stdout, Number.POSITIVE_INFINITY));
      for (const line of this.#titles ? lines : lines.slice(1)) out.line(line);
      this.#titles = false;
    }
  }

  end(): void {
    if (this.#context.out.json) this.#context.out.document(this.#documents);
  }
}

export function define(command: Command): void {
  command
    .argument('[paths...]', 'files and directories', ['ibex:/'])
    .option('-l, --long', 'mode, owner, size and time too')
    .option('-a, --all', 'names that start with a dot too')
    .option('-R, --recursive', 'directories below too')
    .action(
      action<Options>((context, options, paths: string[]) =>
        withFiles(context, async (files) => {
          const listing = new Listing(context, options);
          for (const path of paths) await listing.add(files, filePath(path));
          listing.end();
        }),
      ),
    );
  examples(command, [
    ['ibex ls', 'the root of the file system'],
    ['ibex ls -la ibex:/home', 'all of a directory, with details'],
    ['ibex ls -R --output json ibex:/data', 'a tree as JSON'],
  ]);
}
