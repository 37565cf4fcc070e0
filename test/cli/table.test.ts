/** Tables fit whatever terminal they are printed on. */
import fc from 'fast-check';
import t from 'tap';
import { fitWidths, renderFacts, renderTable } from '../../src/cli/output/table.js';
import { displayWidth, fitText, printable } from '../../src/cli/output/text.js';

interface Row {
  readonly cells: readonly string[];
}

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const table = fc
  .integer({ min: 1, max: 8 })
  .chain((columns) => fc.array(fc.array(text, { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 10 }));

const columnsOf = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    title: `COLUMN ${index}`,
    value: (row: Row) => row.cells[index] as string,
    align: index % 2 === 0 ? ('left' as const) : ('right' as const),
  }));

t.test('no line is wider than the terminal', async () => {
  fc.assert(
    fc.property(table, fc.integer({ min: 4, max: 200 }), (rows, width) => {
      const lines = renderTable(
        columnsOf((rows[0] as string[]).length),
        rows.map((cells) => ({ cells })),
        width,
      );
      return lines.every((line) => displayWidth(line) <= width);
    }),
  );
});

t.test('nothing is cut where there is room', async (t) => {
  fc.assert(
    fc.property(table, (rows) => {
      const lines = renderTable(
        columnsOf((rows[0] as string[]).length),
        rows.map((cells) => ({ cells })),
        Number.POSITIVE_INFINITY,
      );
      return (
        lines.length === rows.length + 1 &&
        rows.every((cells, index) => cells.every((cell) => (lines[index + 1] as string).includes(printable(cell).trimEnd())))
      );
    }),
  );
  t.same(renderTable(columnsOf(2), [{ cells: ['a', '1'] }, { cells: ['bb', '22'] }], 80), [
    'COLUMN 0  COLUMN 1',
    'a                1',
    'bb              22',
  ]);
});

t.test('the widest columns shrink first', async (t) => {
  t.same(fitWidths([10, 50, 20], 60), [10, 30, 20]);
  t.same(fitWidths([10, 50, 20], 45), [10, 17, 18]);
  t.same(fitWidths([3, 4], 100), [3, 4]);
  t.equal(fitWidths([10, 10], 11), undefined, 'below the minimum of each there is no table');
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 10 }),
      fc.integer({ min: 0, max: 300 }),
      (natural, room) => {
        const widths = fitWidths(natural, room);
        if (widths === undefined) return natural.reduce((sum, width) => sum + Math.min(width, 6), 0) > room;
        const sum = widths.reduce((total, width) => total + width, 0);
        const whole = natural.reduce((total, width) => total + width, 0);
        return sum === Math.min(room, whole) && widths.every((width, index) => width <= (natural[index] as number));
      },
    ),
  );
});

t.test('a narrow terminal gets a list for each row', async (t) => {
  t.same(renderTable(columnsOf(3), [{ cells: ['a', 'b', 'c'] }], 14), ['COLUMN 0: a', 'COLUMN 1: b', 'COLUMN 2: c']);
});

t.test('what comes from outside cannot steer the terminal', async (t) => {
  t.equal(printable('a\x1b[2Jb\n\u202e'), 'a\\x1b[2Jb\\n\\u202e');
  const [, line] = renderTable(columnsOf(1), [{ cells: ['\x1b[31mred'] }], 80) as [string, string];
  t.notOk(line.includes('\x1b'));
});

t.test('widths of characters', async (t) => {
  t.equal(displayWidth('abc'), 3);
  t.equal(displayWidth('日本'), 4);
  t.equal(displayWidth('e\u0301'), 1, 'a combining accent takes no column');
  t.equal(fitText('日本語', 5), '日本…');
  t.equal(fitText('abc', 3), 'abc');
  t.equal(fitText('abc', 0), '');
});

t.test('facts stand below each other', async (t) => {
  t.same(
    renderFacts([
      ['a', '1'],
      ['long', '2'],
    ]),
    ['a     1', 'long  2'],
  );
  t.same(renderFacts([]), []);
});
