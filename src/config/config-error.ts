/** What a user has to correct in a configuration: one line for each problem, each with its place. */
import { IbexError } from '../wire/errors.js';

export interface ConfigProblem {
  /** File, variable or flag. */
  readonly source: string;
  /** Only for files; counted from 1. */
  readonly line?: number | undefined;
  /** `section.key`, where one is concerned. */
  readonly key?: string | undefined;
  /** What was found, what was expected, what to do. */
  readonly detail: string;
}

export function formatProblem(problem: ConfigProblem): string {
  return `${problem.source}${problem.line === undefined ? '' : `:${problem.line}`}: ${problem.detail}`;
}

export class ConfigError extends IbexError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[], options?: ErrorOptions) {
    super('ERR_INVALID', '', options);
    this.problems = problems;
    this.message = problems.map(formatProblem).join('\n');
  }
}
