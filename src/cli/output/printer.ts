/**
 * Where a command's result goes: tables or JSON on stdout, everything else on stderr. JSON documents are
 * complete or absent; a reader that went away (head) ends the command quietly.
 */

import { type ErrorReport, reportOf } from '../exit-codes.js';
import { type Column, renderFacts, renderTable } from './table.js';
import { terminalColumns } from './terminal.js';

export type OutputForm = 'table' | 'json';

export class Printer {
  readonly form: OutputForm;

  constructor(form: OutputForm) {
    this.form = form;
  }

  get json(): boolean {
    return this.form === 'json';
  }

  /** One line of text; nothing when JSON is wanted. */
  line(text: string): void {
    if (!this.json) process.stdout.write(`${text}\n`);
  }

  document(value: unknown): void {
    process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** A list of alike things: a table, or `document` (by default the rows) as JSON. */
  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], document: unknown = rows, empty = 'none'): void {
    const width = terminalColumns(process.stdout, Number.POSITIVE_INFINITY);
    if (this.json) this.document(document);
    else if (rows.length === 0) this.line(empty);
    else for (const line of renderTable(columns, rows, width)) this.line(line);
  }

  /** Facts about one thing. */
  facts(facts: readonly (readonly [string, string])[], document: unknown): void {
    if (this.json) this.document(document);
    else for (const line of renderFacts(facts)) this.line(line);
  }

  /** For people only: progress, warnings. */
  note(text: string): void {
    process.stderr.write(`ibex: ${text}\n`);
  }

  error(error: unknown): ErrorReport {
    const report = reportOf(error);
    if (this.json) process.stderr.write(`${JSON.stringify({ error: { code: report.code, message: report.message } })}\n`);
    else for (const line of report.message.trimEnd().split('\n')) process.stderr.write(`ibex: ${line}\n`);
    return report;
  }
}

/** `ibex ls | head`: the rest of the output is not wanted, and that is no failure. */
export function endQuietlyWhenReaderLeaves(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
