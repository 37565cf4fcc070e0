/** What a check of `ibex doctor` found. */

/** ok; note: good to know; missing: works without, at a price; wrong: has to be mended. */
export type FindingState = 'ok' | 'note' | 'missing' | 'wrong';

export interface Finding {
  readonly name: string;
  readonly state: FindingState;
  readonly detail: string;
  /** What it means and how to get it. */
  readonly advice?: string | undefined;
}
