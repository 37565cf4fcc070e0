/** Asserts that a call is refused as a wrong use of the command. */
import type { Test } from 'tap';
import { exitCodes, reportOf } from '../../src/cli/exit-codes.js';

export function isUsageError(t: Test, call: () => unknown, message = 'a wrong use'): void {
  let code: number | undefined;
  try {
    call();
  } catch (error) {
    code = reportOf(error).exitCode;
  }
  t.equal(code, exitCodes.usage, message);
}
