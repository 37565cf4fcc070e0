/** The life of a daemon process, in processes of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';

test('what libraries print on the console is one line of the log', async (t) => {
  const log = join(t.testdir(), 'log');
  const program = `const { runDaemon } = await import(${JSON.stringify(new URL('../../src/daemon/run.js', import.meta.url).href)});
    process.exit(await runDaemon('probe', { level: 'info', file: ${JSON.stringify(log)} }, async ({ finish }) => {
      for (let index = 0; index < 5; index++) console.error(Object.assign(new Error('Input/output error'), { code: 5 }));
      console.warn('%d readers', 3);
      finish('done');
      return { summary: 'probe runs', stop: async () => {} };
    }));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const [code] = await once(child, 'close');
  t.equal(code, 0);
  t.equal(printed, '');
  const lines = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const said = lines.filter(({ level }) => level === 40);
  t.match(said, [
    { daemon: 'probe', msg: 'a library says: Input/output error', err: { message: 'Input/output error', code: 5 } },
    { msg: '5 more warnings like the last one were left out' },
  ]);
  t.equal(said.length, 2);
});
