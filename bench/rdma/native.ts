/** native/test/bench_verbs.cc: what native/verbs takes without JavaScript. */
import { run } from '../../test/cluster/cluster.js';

const TRIPS = '10000';

/** Microseconds one way, the median, of `write` and `send` at 64 bytes. */
export async function nativeLatencies(program: string): Promise<Readonly<Record<string, number>>> {
  const { code, stdout, stderr } = await run(program, [TRIPS]);
  if (code !== 0) throw new Error(`${program}: ${code}\n${stdout}${stderr}`);
  return Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
      .map(([name = '', us]) => [name, Number(us)]),
  );
}
