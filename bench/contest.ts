/** Contenders interleaved, best of several rounds: noise of the machine hits all alike. */
import { type Measured, measure } from './machine.js';

export interface Contender<Value> {
  readonly name: string;
  /** Not measured: caches made cold, old files removed. */
  prepare?(): Promise<void>;
  run(): Promise<Value>;
}

export type Results<Value> = ReadonlyMap<string, readonly Measured<Value>[]>;

export async function contest<Value>(
  contenders: readonly Contender<Value>[],
  rounds: number,
  log: (text: string) => void,
): Promise<Results<Value>> {
  const results = new Map<string, Measured<Value>[]>(contenders.map((contender) => [contender.name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const contender of contenders) {
      await contender.prepare?.();
      const measured = await measure(() => contender.run());
      results.get(contender.name)?.push(measured);
      log(
        `  round ${round}: ${contender.name} ${measured.seconds.toFixed(2)} s, ${measured.busySeconds.toFixed(2)} CPU s, ${measured.stolenPercent.toFixed(1)} % stolen`,
      );
    }
  }
  return results;
}

/** The run with the highest score. */
export function best<Value>(results: Results<Value>, name: string, score: (run: Measured<Value>) => number): Measured<Value> {
  const runs = results.get(name) ?? [];
  const top = runs.toSorted((a, b) => score(b) - score(a))[0];
  if (top === undefined) throw new Error(`no run of ${name}`);
  return top;
}

export const fastest = <Value>(results: Results<Value>, name: string): Measured<Value> => best(results, name, (run) => -run.seconds);
export const leanest = <Value>(results: Results<Value>, name: string): Measured<Value> => best(results, name, (run) => -run.busySeconds);
