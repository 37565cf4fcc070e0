/** `ibex df`: space of the file system, target by target. */
import type { Command } from 'commander';
import { everyUsage } from '../../client/management-lists.js';
import type { Usage } from '../../wire/messages.js';
import { withCluster } from '../connections.js';
import { action, examples } from '../context.js';
import { formatBytes, formatCount, formatPercent } from '../output/format.js';
import type { Column } from '../output/table.js';

interface Row {
  readonly name: string;
  readonly kind: string;
  readonly total: number;
  readonly free: number;
}

function columns(format: (value: number) => string): readonly Column<Row>[] {
  return [
    { title: 'TARGET', value: (row) => row.name },
    { title: 'KIND', value: (row) => row.kind },
    { title: 'TOTAL', align: 'right', value: (row) => format(row.total) },
    { title: 'USED', align: 'right', value: (row) => format(row.total - row.free) },
    { title: 'FREE', align: 'right', value: (row) => format(row.free) },
    { title: 'USE', align: 'right', value: (row) => formatPercent(row.total - row.free, row.total) },
  ];
}

export function define(command: Command): void {
  command
    .option('-i, --inodes', 'inodes instead of bytes')
    .option('-b, --bytes', 'exact bytes')
    .action(
      action<{ inodes?: boolean; bytes?: boolean }>((context, { inodes, bytes }) =>
        withCluster(context, async (cluster) => {
          const latest = new Map((await everyUsage(cluster)).map((entry) => [entry.target, entry]));
          const figures = (entry: Usage | undefined): Pick<Row, 'total' | 'free'> =>
            inodes === true
              ? { total: entry?.inodesTotal ?? 0, free: entry?.inodesFree ?? 0 }
              : { total: entry?.bytesTotal ?? 0, free: entry?.bytesFree ?? 0 };
          const rows: Row[] = cluster.map.targets.map((target) => ({
            name: target.alias,
            kind: target.kind,
            ...figures(latest.get(target.id)),
          }));
          // File data is what users fill; metadata has disks of its own.
          const storage = rows.filter((row) => row.kind === 'storage');
          const sum = (pick: (row: Row) => number): number => storage.reduce((total, row) => total + pick(row), 0);
          const total: Row = { name: 'all storage', kind: 'storage', total: sum((row) => row.total), free: sum((row) => row.free) };
          const format = inodes === true || bytes === true ? formatCount : formatBytes;
          context.out.table(columns(format), [...rows, total], { unit: inodes === true ? 'inodes' : 'bytes', targets: rows, total });
        }),
      ),
    );
  examples(command, [
    ['ibex df', 'space of every target and of all storage together'],
    ['ibex df --inodes', 'how many files still fit'],
  ]);
}
