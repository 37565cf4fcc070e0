/** `ibex entry info`: FID, layout, and which chunk of a file lies on which target. */

import type { Command } from 'commander';
import type { LayoutInfo } from '../../client/types.js';
import { entryOf } from '../../wire/cluster-map.js';
import { formatFid } from '../../wire/fid.js';
import { chunkBytes } from '../chunk-sizes.js';
import { withCluster, withFiles } from '../connections.js';
import { action, examples } from '../context.js';
import { formatBytes, formatMode } from '../output/format.js';
import { type Column, renderTable } from '../output/table.js';
import { terminalColumns } from '../output/terminal.js';
import { filePath } from '../paths.js';

interface Chunk {
  readonly column: number;
  readonly targetId: number;
  readonly target: string;
  readonly node: string;
  readonly state: string;
  readonly bytes: number;
}

const columns: readonly Column<Chunk>[] = [
  { title: 'CHUNK', align: 'right', value: (chunk) => String(chunk.column) },
  { title: 'TARGET', value: (chunk) => `${chunk.target} (${chunk.targetId})` },
  { title: 'NODE', value: (chunk) => chunk.node },
  { title: 'STATE', value: (chunk) => chunk.state },
  { title: 'BYTES', align: 'right', value: (chunk) => formatBytes(chunk.bytes) },
];

const stripeCountText = (layout: LayoutInfo): string => (layout.stripeCount === 0 ? 'all targets of the pool' : String(layout.stripeCount));

export function define(command: Command): void {
  command.argument('<path>', 'file or directory').action(
    action(async (context, _options, text: string) => {
      const path = filePath(text);
      const { layout, stats } = await withFiles(context, async (files) => {
        const [found, attributes] = await Promise.all([
          files.getLayout(path, { signal: context.signal }),
          files.stat(path, { signal: context.signal }),
        ]);
        return { layout: found, stats: attributes };
      });
      const targets = layout.targets ?? [];
      const chunks = await withCluster(context, async ({ map }) =>
        targets.map((id, column): Chunk => {
          const target = entryOf(map.targets, id);
          const node = target && entryOf(map.nodes, target.node);
          return {
            column,
            targetId: id,
            target: target?.alias ?? '?',
            node: node?.alias ?? '?',
            state: target?.reachability ?? 'unknown',
            bytes: chunkBytes(stats.size, column, targets.length, layout.stripeSize),
          };
        }),
      );
      const directory = stats.isDirectory();
      context.out.facts(
        [
          ['path', path],
          ['fid', `${formatFid(layout.fid)} (inode ${layout.fid})`],
          ['type', formatMode(stats.mode)],
          ...(directory ? [] : [['size', formatBytes(stats.size)] as const]),
          ['pattern', layout.pattern],
          ['pool', layout.pool],
          ['stripe size', formatBytes(layout.stripeSize)],
          ['stripe count', directory ? stripeCountText(layout) : String(targets.length)],
          ...(directory ? [['layout', layout.own ? 'set here' : 'inherited'] as const] : []),
        ],
        { path, fid: formatFid(layout.fid), inode: layout.fid, mode: stats.mode, size: stats.size, layout, chunks },
      );
      if (context.out.json || chunks.length === 0) return;
      context.out.line('');
      for (const line of renderTable(columns, chunks, terminalColumns(process.stdout, Number.POSITIVE_INFINITY))) context.out.line(line);
    }),
  );
  examples(command, [
    ['ibex entry info ibex:/data/big', 'where the chunks of a file are'],
    ['ibex entry info .', 'what the directory here passes on (in a mount)'],
  ]);
}
