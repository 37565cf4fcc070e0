/** The clock of leases: it must go on while the machine is suspended. A time namespace stands for a machine that was. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { bootTimeMs } from '../../src/net/runtime.js';
import { needs } from '../support/capabilities.js';

const module = JSON.stringify(new URL('../../src/net/runtime.js', import.meta.url).href);
/** Both clocks of this machine, or of one that was suspended for so long. */
const SUSPENDED_S = 1000;
const clocks = `import { bootTimeMs } from ${module};
  console.log(JSON.stringify([bootTimeMs(), Number(process.hrtime.bigint()) / 1e6]));`;

function ahead(...wrapper: string[]): number {
  const [program, ...args] = [...wrapper, process.execPath, '--input-type=module', '-e', clocks];
  const { stdout, stderr } = spawnSync(program!, args, { encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  const [boot, monotonic] = JSON.parse(stdout) as [number, number];
  return boot - monotonic;
}

t.test('the time that the machine was suspended counts', needs('root'), async (t) => {
  const whileSuspended = ahead('unshare', '--time', '--boottime', String(SUSPENDED_S), '--fork', '--kill-child') - ahead();
  t.ok(Math.abs(whileSuspended - SUSPENDED_S * 1000) < 500, `${whileSuspended} ms`);
});

t.test('it never goes back', async (t) => {
  let last = bootTimeMs();
  for (let looks = 0; looks < 100_000; looks++) {
    const now = bootTimeMs();
    if (now < last) t.fail(`${last} ms, then ${now} ms`);
    last = now;
  }
  t.ok(last > 0);
});
