/** `ibex stat`: attributes of files. */
import type { Command } from 'commander';
import type { Stats } from '../../client/stats.js';
import { formatFid } from '../../wire/fid.js';
import { withFiles } from '../connections.js';
import { action, examples } from '../context.js';
import { formatBytes, formatCount, formatMode } from '../output/format.js';
import { filePath } from '../paths.js';

function document(path: string, stats: Stats): Record<string, unknown> {
  const { fid, mode, nlink, uid, gid, size, atime, mtime, ctime } = stats;
  return { path, fid: formatFid(fid), inode: fid, mode, links: nlink, uid, gid, size, accessed: atime, modified: mtime, changed: ctime };
}

function facts(path: string, stats: Stats): readonly (readonly [string, string])[] {
  return [
    ['path', path],
    ['fid', `${formatFid(stats.fid)} (inode ${stats.fid})`],
    ['mode', `${formatMode(stats.mode)} (${(stats.mode & 0o7777).toString(8).padStart(4, '0')})`],
    ['links', String(stats.nlink)],
    ['owner', `${stats.uid}:${stats.gid}`],
    ['size', `${formatBytes(stats.size)} (${formatCount(stats.size)} bytes)`],
    ['accessed', stats.atime.toISOString()],
    ['modified', stats.mtime.toISOString()],
    ['changed', stats.ctime.toISOString()],
  ];
}

export function define(command: Command): void {
  command
    .argument('<path>', 'file or directory')
    .option('-L, --dereference', 'of what a symbolic link leads to')
    .action(
      action<{ dereference?: boolean }>((context, { dereference }, text: string) =>
        withFiles(context, async (files) => {
          const path = filePath(text);
          const stats = await (dereference === true
            ? files.stat(path, { signal: context.signal })
            : files.lstat(path, { signal: context.signal }));
          context.out.facts(facts(path, stats), document(path, stats));
        }),
      ),
    );
  examples(command, [
    ['ibex stat ibex:/data/big', 'attributes of a file'],
    ['ibex stat --output json ibex:/data', 'the same as JSON'],
  ]);
}
