/** The `ibex` command as scripts and shells meet it. */
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { completionScript, type Shell } from '../../src/cli/completion/scripts.js';
import { CliError, reportOf } from '../../src/cli/exit-codes.js';
import { buildProgram } from '../../src/cli/program.js';
import { commands } from '../../src/cli/registry.js';
import { IbexError } from '../../src/wire/errors.js';

const program = fileURLToPath(new URL('../../../bin/ibex.mjs', import.meta.url));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function ibex(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: '1', ...environment };
    execFile(process.execPath, [program, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

t.test('every command has a summary, an example and help without loading the others', async (t) => {
  const whole = await buildProgram(() => true);
  for (const { name, summary } of commands) {
    const words = name.split(' ');
    let command = whole;
    for (const word of words) {
      const next = command.commands.find((candidate) => candidate.name() === word);
      if (next === undefined) return t.fail(`${name} is not there`);
      command = next;
    }
    let help = '';
    command.configureOutput({
      writeOut: (text) => {
        help += text;
      },
    });
    command.outputHelp();
    t.match(help, summary, name);
    t.match(help, /Examples:\n {2}\S/, name);
  }
});

t.test('help and version end with 0', async (t) => {
  const overview = await ibex(['--help']);
  t.equal(overview.code, 0);
  for (const { name } of commands) t.match(overview.stdout, name.split(' ')[0] as string);
  for (const args of [['cp', '--help'], ['help', 'cp'], ['node', 'list', '--help'], ['mgmtd', '--help'], ['--version'], ['version']]) {
    const { code, stdout } = await ibex(args);
    t.equal(code, 0, args.join(' '));
    t.not(stdout, '');
  }
});

t.test('wrong use ends with 2 and one line', async (t) => {
  const lines: readonly (readonly string[])[] = [
    ['bogus'],
    ['ls', '--bogus'],
    ['--output', 'xml', 'ls'],
    ['cp', 'a'],
    ['cp', 'a', 'b'],
    ['cat'],
    ['completion', 'tcsh'],
    ['entry', 'set', 'ibex:/', '--stripe-size', '1'],
    ['entry', 'set', 'ibex:/'],
    ['mgmtd', '--listen-port', 'x'],
    ['mgmtd', '--config', '/nonexistent.toml'],
  ];
  const folder = t.testdir({});
  await ibex(['key', 'generate', `${folder}/key`]);
  for (const args of lines) {
    const { code, stderr, stdout } = await ibex([...args, '--key-file', `${folder}/key`]);
    t.equal(code, 2, args.join(' '));
    t.match(stderr, /^ibex: [^\n]+\n$/, args.join(' '));
    t.equal(stdout, '', args.join(' '));
  }
  for (const args of [[], ['node']]) {
    const { code, stderr } = await ibex(args);
    t.equal(code, 2);
    t.match(stderr, 'Usage: ibex');
  }
});

t.test('errors as JSON', async (t) => {
  const { code, stderr, stdout } = await ibex(['ls', '--output', 'json', '--key-file', '/nonexistent/key']);
  t.equal(code, 2);
  t.equal(stdout, '');
  t.match(JSON.parse(stderr), { error: { code: 'ENOKEY', message: /ibex key generate/ } });
  t.match(JSON.parse((await ibex(['--output=json', 'bogus'])).stderr), { error: { code: 'EUSAGE' } });
});

t.test('exit codes of errors', async (t) => {
  const table: readonly [unknown, number, string][] = [
    [new IbexError('ERR_NOT_FOUND', 'x'), 4, 'ENOENT'],
    [new IbexError('ERR_CONNECTION_LOST', 'x'), 3, 'ECONNRESET'],
    [new IbexError('ERR_HANDSHAKE_REFUSED', 'x'), 5, 'EACCES'],
    [new IbexError('ERR_ACCESS', 'x'), 5, 'EACCES'],
    [new IbexError('ERR_NO_SPACE', 'x'), 1, 'ENOSPC'],
    [new CliError('x', 2, 'EUSAGE'), 2, 'EUSAGE'],
    [new DOMException('x', 'AbortError'), 130, 'ECANCELED'],
    [Object.assign(new Error('x'), { code: 'ENOENT' }), 4, 'ENOENT'],
    [new Error('x'), 1, 'EFAILED'],
    ['x', 1, 'EFAILED'],
  ];
  for (const [error, exitCode, code] of table) t.match(reportOf(error), { exitCode, code });
});

t.test('key files: made private, never replaced, refused when others can read them', async (t) => {
  const file = `${t.testdir({})}/new/key`;
  t.equal((await ibex(['key', 'generate', file])).code, 0);
  t.equal(statSync(file).mode & 0o777, 0o600);
  const before = readFileSync(file, 'utf8');
  const again = await ibex(['key', 'generate', file]);
  t.equal(again.code, 1);
  t.match(again.stderr, 'exists already');
  t.equal(readFileSync(file, 'utf8'), before);
  const token = await ibex(['key', 'token', file, '--output', 'json']);
  t.match((JSON.parse(token.stdout) as { token: string }).token, /^[\w-]{43}$/);
  chmodSync(file, 0o644);
  const refused = await ibex(['key', 'token', file]);
  t.equal(refused.code, 5);
  t.match(refused.stderr, 'chmod 600');
});

t.test('doctor says what this machine has', async (t) => {
  const { code, stdout } = await ibex(['doctor', '--no-cluster', '--output', 'json']);
  t.ok(code === 0 || code === 1);
  const findings = JSON.parse(stdout) as { name: string; state: string; advice?: string }[];
  t.match(
    findings.find(({ name }) => name === 'node'),
    { state: 'ok' },
  );
  t.match(
    findings.find(({ name }) => name === '/dev/fuse'),
    { state: existsSync('/dev/fuse') ? /ok|missing/ : 'missing' },
  );
  for (const finding of findings.filter(({ state }) => state === 'missing')) t.ok(finding.advice, finding.name);
});

t.test('completion scripts hold every command and are valid', async (t) => {
  const whole = await buildProgram(() => true);
  for (const shell of ['bash', 'zsh', 'fish'] as Shell[]) {
    const script = completionScript(shell, whole);
    for (const { name } of commands) for (const word of name.split(' ')) t.match(script, word);
    t.notMatch(script, 'exit-with-parent', 'hidden options stay hidden');
  }
  const bash = completionScript('bash', whole);
  execFileSync('bash', ['-n'], { input: bash });
  const complete = (...words: string[]): string[] => {
    const script = `${bash}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _ibex; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', { input: script, encoding: 'utf8' })
      .split('\n')
      .filter((line) => line !== '');
  };
  t.same(complete('ibex', 'm').sort(), ['meta', 'mgmtd', 'mirror', 'mkdir', 'mount']);
  t.same(complete('ibex', 'entry', ''), ['info', 'set']);
  t.same(complete('ibex', '--output', 'json', 'target', ''), ['list']);
  t.same(complete('ibex', 'entry', 'set', '--stripe'), ['--stripe-size', '--stripe-count']);
  t.same(complete('ibex', 'ls', '--output', 'j'), ['json']);
});
