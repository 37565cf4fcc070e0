/** Property tests: the seed is printed when one fails and taken back from IBEXFS_SEED. */
import fc from 'fast-check';

interface Reporter {
  comment(text: string): void;
  pass(text: string): unknown;
}

export function seed(): number {
  const given = process.env['IBEXFS_SEED'];
  return given === undefined ? Date.now() & 0x7fffffff : Number(given);
}

/** Runs a property; throws (and so fails the test) with the seed and the smallest counterexample. */
export function checks<Values>(t: Reporter, property: fc.IRawProperty<Values>, parameters: fc.Parameters<Values> = {}): void {
  const used = seed();
  t.comment(`seed ${used} (IBEXFS_SEED=${used} runs it again)`);
  fc.assert(property, { numRuns: 200, ...parameters, seed: used });
  t.pass(`property held, seed ${used}`);
}

/** What t.throws and t.rejects compare an IbexError with. */
export const refusal = (kind: string, message: RegExp = /./): { kind: string; message: RegExp } => ({ kind, message });
