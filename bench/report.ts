/** Figures beside their limits, as a table and as JSON. */

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  /** What it is held against, in the same run; absent for an absolute bound. */
  readonly limit?: { readonly name: string; readonly value: number };
  /** value / limit (or value itself) must be at least, or at most, this; empty: measured only. */
  readonly goal: { readonly atLeast?: number; readonly atMost?: number };
  /** Largest share of stolen CPU time among the runs that count. */
  readonly stolenPercent: number;
}

export const STOLEN_PERCENT_MAX = 3;

export function ratioOf(figure: Figure): number {
  return figure.limit === undefined ? figure.value : figure.value / figure.limit.value;
}

export function holds(figure: Figure): boolean {
  const ratio = ratioOf(figure);
  return (
    (figure.goal.atLeast === undefined || ratio >= figure.goal.atLeast) && (figure.goal.atMost === undefined || ratio <= figure.goal.atMost)
  );
}

const short = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString('en-US') : value >= 100 ? value.toFixed(0) : value.toPrecision(3);

function goalText({ goal }: Figure): string {
  if (goal.atLeast !== undefined) return `>= ${goal.atLeast}`;
  return goal.atMost !== undefined ? `<= ${goal.atMost}` : '-';
}

export function table(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    `${short(figure.value)} ${figure.unit}`,
    figure.limit === undefined ? '-' : `${figure.limit.name} ${short(figure.limit.value)}`,
    figure.limit === undefined ? '-' : ratioOf(figure).toFixed(2),
    goalText(figure),
    goalText(figure) === '-' ? '' : holds(figure) ? 'ok' : 'SHORT',
    `${figure.stolenPercent.toFixed(1)} %${figure.stolenPercent > STOLEN_PERCENT_MAX ? ' disturbed' : ''}`,
  ]);
  const head = ['figure', 'ibexfs', 'limit', 'ratio', 'goal', '', 'stolen'];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function json(figures: readonly Figure[]): string {
  return JSON.stringify(
    figures.map((figure) => ({
      ...figure,
      ratio: ratioOf(figure),
      holds: holds(figure),
      disturbed: figure.stolenPercent > STOLEN_PERCENT_MAX,
    })),
    null,
    2,
  );
}
