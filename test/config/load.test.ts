import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'tap';
import { renderConfigFile } from '../../src/config/document.js';
import { ConfigError, type ConfigKind, loadConfig } from '../../src/config/index.js';
import { checks } from '../support/properties.js';

function problemOf(kind: ConfigKind, folder: string, document: string | Buffer): string {
  const file = join(folder, 'a.toml');
  writeFileSync(file, document);
  try {
    loadConfig(kind, { file, environment: {} });
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll(`${file}`, 'a.toml');
    throw error;
  }
  return '';
}

test('a wrong file is refused with its line and what was expected', async (t) => {
  const folder = t.testdir();
  const cases: readonly [ConfigKind, string, string][] = [
    ['mgmtd', '[listen]\nport = "x"\n', 'a.toml:2: listen.port is "x"; expected a whole number from 0 to 65535'],
    [
      'mgmtd',
      '# one\n\n[listen]\n# two\nport = 70000 # three\n',
      'a.toml:5: listen.port is 70000; expected a whole number from 0 to 65535',
    ],
    ['mgmtd', '[listen]\nhots = "::"\n', 'a.toml:2: unknown key "hots" in [listen]; did you mean "host"?'],
    [
      'mgmtd',
      '[log]\nlevel = "loud"\n',
      'a.toml:2: log.level is "loud"; expected one of "fatal", "error", "warn", "info", "debug", "trace"',
    ],
    ['mgmtd', '[log]\nport = 1\n', 'a.toml:2: unknown key "port" in [log]; it belongs to [listen]'],
    ['mgmtd', '[log]\nzzzzzzzz = 1\n', 'a.toml:2: unknown key "zzzzzzzz" in [log]; expected one of level, file'],
    ['mgmtd', '\n[lgo]\n', 'a.toml:2: unknown section "lgo"; did you mean "[log]"?'],
    ['meta', '[http]\n', 'a.toml:1: unknown section "http"; expected one of "[cluster]", "[listen]", "[meta]", "[rdma]", "[log]"'],
    ['mgmtd', 'port = 1\n', 'a.toml:1: key "port" stands outside its section; move it below "[listen]"'],
    ['mgmtd', '\n\nlisten = 1\n', 'a.toml:3: "listen" is a section; expected "[listen]" with its keys below'],
    ['mgmtd', 'listen.port = -1\n', 'a.toml:1: listen.port is -1; expected a whole number from 0 to 65535'],
    [
      'mgmtd',
      '[heartbeat]\ninterval = 5\n',
      'a.toml:2: heartbeat.interval is 5; expected a duration with its unit such as "1 s", from 100 ms to 60 s',
    ],
    [
      'mgmtd',
      '[heartbeat]\ninterval = "5 parsecs"\n',
      'a.toml:2: heartbeat.interval is "5 parsecs"; expected a duration with its unit such as "1 s", from 100 ms to 60 s',
    ],
    [
      'mgmtd',
      '[heartbeat]\ninterval = "4 s"\n\noffline_after = "20 s"\nprobably_offline_after = "6 s"\n',
      'a.toml:5: heartbeat.probably_offline_after: expected at least twice heartbeat.interval, or one late report makes a node probably offline',
    ],
    ['mgmtd', '[http]\nenabled = "yes"\n', 'a.toml:2: http.enabled is "yes"; expected true or false'],
    [
      'storage',
      '[storage]\nbuffer_memory = "1 MiB"\n',
      'a.toml:2: storage.buffer_memory is "1 MiB"; expected a size such as "128 MiB", from 16 MiB to 64 GiB',
    ],
    [
      'storage',
      '[storage]\ntargets = ["/a", "/a"]\n',
      'a.toml:2: storage.targets is ["/a","/a"]; expected a list of different paths such as ["/data/1", "/data/2"]',
    ],
    [
      'storage',
      '[storage]\ntargets = []\n',
      'a.toml:2: storage.targets is []; expected a list of different paths such as ["/data/1", "/data/2"]',
    ],
    [
      'storage',
      '[log]\nfile = """\n[listen]\n"""\n[cluster]\nmgmtd = [\n  "a:1", # first\n  "b",\n]\n',
      'a.toml:6: cluster.mgmtd is ["a:1","b"]; expected a list of "host:port"',
    ],
    ['storage', '[cluster]\nmgmtd = "a:1:2"\n', 'a.toml:2: cluster.mgmtd is "a:1:2"; expected a list of "host:port"'],
    ['storage', '[cluster]\nkey_file = 3\n', 'a.toml:2: cluster.key_file is 3; expected a path in quotes'],
    ['mgmtd', '[listen]\nport = \n', 'a.toml:2: not valid TOML: invalid value; correct this line'],
  ];
  for (const [kind, document, expected] of cases) t.equal(problemOf(kind, folder, document), expected, document.replaceAll('\n', '\\n'));
  t.match(problemOf('mgmtd', folder, '[listen]\nport = 1\n[listen]\n'), /^a\.toml:3: not valid TOML: /);
  t.match(problemOf('mgmtd', folder, '[listen'), /^a\.toml:1: not valid TOML: /);
  t.match(
    problemOf('mgmtd', folder, '[listen]\n__proto__ = 1\n'),
    /^a\.toml(:\d+)?: not valid TOML: /,
    'names that would reach a prototype',
  );
  t.equal(problemOf('mgmtd', folder, Buffer.from([0xff, 0xfe, 0])), 'a.toml: is not UTF-8 text; expected a TOML file');
  t.match(problemOf('mgmtd', folder, `#${'x'.repeat(1 << 20)}`), /expected a TOML file of at most 1048576/);
});

test('all problems are said at once', async (t) => {
  const found = problemOf('mgmtd', t.testdir(), '[listen]\nport = "x"\nhsot = ""\n[log]\nlevel = 1\n');
  t.same(
    found
      .split('\n')
      .map((line) => line.split(':')[1])
      .sort(),
    ['2', '3', '5'],
  );
});

test('a file that cannot be read says what to do', async (t) => {
  const folder = t.testdir();
  t.throws(() => loadConfig('mgmtd', { file: join(folder, 'none.toml'), environment: {} }), {
    message: `${folder}/none.toml: no such file; give the right one with --config, or leave --config out for the defaults`,
    code: 'EINVAL',
  });
  t.throws(() => loadConfig('mgmtd', { file: folder, environment: {} }), /is a folder; expected a TOML file/);
});

test('flags override variables, variables the file, the file the defaults', async (t) => {
  const folder = t.testdir({ 'm.toml': '[listen]\nport = 1\nhost = "10.0.0.1"\n[mgmtd]\nalias = "from-file"\n' });
  const config = loadConfig('mgmtd', {
    file: join(folder, 'm.toml'),
    environment: {
      IBEX_LISTEN_PORT: '2',
      IBEX_MGMTD_ALIAS: 'from-variable',
      IBEX_STORAGE_POOL: 'of another program',
      IBEX_OTHER: 'x',
      PATH: '/bin',
    },
    flags: { 'listen.port': 3, 'log.level': 'debug', 'http.enabled': undefined },
  });
  t.equal(config.listen.port, 3);
  t.equal(config.mgmtd.alias, 'from-variable');
  t.equal(config.listen.host, '10.0.0.1');
  t.equal(config.log.level, 'debug');
  t.equal(config.heartbeat.offlineAfterMs, 15_000);
});

test('wrong variables and flags are refused by their names', async (t) => {
  const refused = (options: Parameters<typeof loadConfig>[1]) => {
    try {
      loadConfig('storage', { file: null, environment: {}, ...options });
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  t.equal(
    refused({ environment: { IBEX_LISTEN_PROT: '1' } }),
    'variable IBEX_LISTEN_PROT: unknown variable; did you mean IBEX_LISTEN_PORT?',
  );
  t.equal(
    refused({ environment: { IBEX_LISTEN_PORT: 'x' } }),
    'variable IBEX_LISTEN_PORT: listen.port is "x"; expected a whole number from 0 to 65535',
  );
  t.equal(
    refused({ flags: { 'storage.reactor_threads': '65' } }),
    'flag --storage-reactor-threads: storage.reactor_threads is "65"; expected a whole number from 0 to 64',
  );
  t.equal(
    refused({ flags: { 'storage.reactor_thread': 1 } }),
    'flag --storage-reactor-thread: unknown key "reactor_thread" in [storage]; did you mean "reactor_threads"?',
  );
  t.equal(
    refused({ flags: { __proto__: { 'listen.port': 1 }, 'constructor.name': 'x' } }),
    'flag --constructor-name: unknown section "constructor"; expected one of "[cluster]", "[listen]", "[storage]", "[rdma]", "[log]"',
  );
});

test('values come out typed, whole and frozen', async (t) => {
  const folder = t.testdir({
    'c.toml':
      '[cluster]\nmgmtd = ["a.example:7410", "[::1]:7411"]\nkey_file = "keys/key"\n[storage]\ntargets = ["t1", "/data/2"]\nbuffer_memory = "0.5 GiB"\n',
  });
  const config = loadConfig('storage', { file: join(folder, 'c.toml'), environment: { IBEX_STORAGE_DATA: 'here' } });
  t.same(config.cluster.mgmtd, [
    { host: 'a.example', port: 7410 },
    { host: '::1', port: 7411 },
  ]);
  t.equal(config.cluster.keyFile, join(folder, 'keys/key'), 'relative to the file');
  t.equal(config.storage.data, join(process.cwd(), 'here'), 'relative to the process');
  t.same(config.storage.targets, [join(folder, 't1'), '/data/2']);
  t.equal(config.storage.bufferMemoryBytes, 2 ** 29);
  t.ok(
    Object.isFrozen(config) &&
      Object.isFrozen(config.storage) &&
      Object.isFrozen(config.storage.targets) &&
      Object.isFrozen(config.cluster.mgmtd[0]),
  );
  t.same(
    loadConfig('storage', { file: null, environment: { IBEX_STORAGE_TARGETS: '/a, /b', IBEX_CLUSTER_MGMTD: 'a:1,b:2' } }).storage.targets,
    ['/a', '/b'],
    'lists in variables',
  );
});

test('a file that was cut off or damaged is taken or refused with a line, never more', async (t) => {
  const folder = t.testdir();
  const whole = renderConfigFile('storage');
  const damage = fc.record({ keep: fc.nat(whole.length), at: fc.nat(whole.length), insert: fc.string({ unit: 'binary', maxLength: 3 }) });
  checks(
    t,
    fc.property(damage, ({ keep, at, insert }) => {
      const damaged = whole.slice(0, Math.min(at, keep)) + insert + whole.slice(Math.min(at, keep), keep);
      for (const problem of problemOf('storage', folder, damaged).split('\n')) {
        if (problem !== '' && !/^a\.toml:[0-9]+: ./.test(problem)) throw new Error(`no line in ${JSON.stringify(problem)}`);
      }
    }),
  );
});
