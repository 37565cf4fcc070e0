/**
 * Tables that fit the terminal: columns shrink, the widest first, and where that is not enough every row
 * becomes a small list. Pure: columns and rows in, lines out.
 */
import { displayWidth, fitText, printable } from './text.js';

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: 'left' | 'right';
  /** Applied to the padded cell, so that it adds no width. */
  readonly paint?: (cell: string, row: Row) => string;
}

const GAP = '  ';
/** A column is not cut below this many characters. */
const COLUMN_MIN = 6;

/** Widths that sum up to at most `room`; undefined when the minimum of each does not fit. */
export function fitWidths(natural: readonly number[], room: number): number[] | undefined {
  const widths = [...natural];
  const minimum = natural.map((width) => Math.min(width, COLUMN_MIN));
  let excess = widths.reduce((sum, width) => sum + width, 0) - room;
  if (minimum.reduce((sum, width) => sum + width, 0) > room) return undefined;
  while (excess > 0) {
    const widest = Math.max(...widths.map((width, index) => (width > (minimum[index] as number) ? width : 0)));
    const index = widths.indexOf(widest);
    // Down to the next widest at once, so that wide tables take few rounds.
    const next = Math.max(0, ...widths.filter((width) => width < widest));
    const equals = widths.filter((width) => width === widest).length;
    const step = Math.max(1, Math.min(Math.ceil(excess / equals), widest - Math.max(next, minimum[index] as number)));
    widths[index] = widest - step;
    excess -= step;
  }
  return widths;
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const fitted = fitText(text, width);
  const blank = ' '.repeat(Math.max(0, width - displayWidth(fitted)));
  return align === 'right' ? blank + fitted : fitted + blank;
}

/** @param width columns of the terminal; Infinity when it is none */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number): string[] {
  const cells = rows.map((row) => columns.map((column) => printable(column.value(row))));
  const natural = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...cells.map((line) => displayWidth(line[index] as string))),
  );
  const widths = fitWidths(natural, width - GAP.length * (columns.length - 1));
  if (widths === undefined) return renderRecords(columns, cells, width);
  const line = (texts: readonly string[], row?: Row): string =>
    columns
      .map((column, index) => {
        const cell = pad(texts[index] as string, widths[index] as number, column.align ?? 'left');
        return row !== undefined && column.paint !== undefined ? column.paint(cell, row) : cell;
      })
      .join(GAP)
      .trimEnd();
  const titles = line(columns.map((column) => column.title));
  return [titles, ...cells.map((texts, index) => line(texts, rows[index] as Row))];
}

function renderRecords<Row>(columns: readonly Column<Row>[], cells: readonly (readonly string[])[], width: number): string[] {
  const lines: string[] = [];
  for (const [index, texts] of cells.entries()) {
    if (index > 0) lines.push('');
    for (const [at, column] of columns.entries()) lines.push(fitText(`${column.title}: ${texts[at]}`, width));
  }
  return lines;
}

/** `key  value` lines with the values below each other. */
export function renderFacts(facts: readonly (readonly [key: string, value: string])[]): string[] {
  const width = Math.max(0, ...facts.map(([key]) => displayWidth(key)));
  return facts.map(([key, value]) => `${pad(key, width, 'left')}${GAP}${printable(value)}`.trimEnd());
}
