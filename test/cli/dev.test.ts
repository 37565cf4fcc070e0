/** The decisions of `ibex dev`, without a cluster. */
import t from 'tap';
import { loadConfig } from '../../src/config/index.js';
import { describeState } from '../../src/dev/display.js';
import { defaultDataFolder, devFiles } from '../../src/dev/files.js';
import { readableLine } from '../../src/dev/last-log-lines.js';
import { planDaemons } from '../../src/dev/plan.js';
import { afterExit, freshState, type RestartState } from '../../src/dev/restart-policy.js';
import { choosePorts, readState, targetCount, writeState } from '../../src/dev/state.js';
import { welcome } from '../../src/dev/welcome.js';
import { isUsageError } from './usage.js';

t.test('restarts: pauses grow, a good while forgives, a daemon that never came up is given up', async (t) => {
  const well = { ready: true, ranMs: 5_000 };
  const long = { ready: true, ranMs: 3_600_000 };
  const never = { ready: false, ranMs: 100 };
  const table: readonly { what: string; exits: readonly { ready: boolean; ranMs: number }[]; pausesMs: readonly (number | undefined)[] }[] =
    [
      {
        what: 'dies again and again',
        exits: Array(10).fill(well),
        pausesMs: [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000],
      },
      { what: 'dies after a good while', exits: [well, well, well, long, well], pausesMs: [250, 500, 1000, 250, 500] },
      { what: 'never came up', exits: [never, never, never], pausesMs: [250, 500, undefined] },
      { what: 'was up once, then cannot start', exits: [well, never, never, never, never], pausesMs: [250, 500, 1000, 2000, 4000] },
      { what: 'slow to fail at the start', exits: [{ ready: false, ranMs: 120_000 }, never, never], pausesMs: [250, 500, undefined] },
    ];
  for (const { what, exits, pausesMs } of table) {
    let state: RestartState = freshState;
    const pauses = exits.map((exit) => {
      const decision = afterExit(state, exit);
      state = decision.state;
      return decision.pauseMs;
    });
    t.same(pauses, pausesMs, what);
  }
});

t.test('ports: the usual ones, the next free ones, the same as last time', async (t) => {
  const all = async (): Promise<boolean> => true;
  const usual = { mgmtd: 7410, http: 7411, meta: 7420, 'storage-1': 7430, 'storage-2': 7431 };
  t.same(await choosePorts(undefined, all), usual);
  t.same(await choosePorts(undefined, async (port) => port !== 7410), { ...usual, mgmtd: 7411, http: 7412 });
  const kept = { ...usual, meta: 9000 };
  t.same(await choosePorts(kept, all), kept);
  await t.rejects(
    choosePorts(undefined, async () => false),
    { message: /no free port/ },
  );
});

t.test('targets can be added, not taken away', async (t) => {
  t.equal(targetCount(undefined, undefined), 4);
  t.equal(targetCount(undefined, 6), 6);
  t.equal(targetCount('8', 4), 8);
  for (const [wanted, kept] of [
    ['3', 4],
    ['0', undefined],
    ['x', undefined],
    ['65', undefined],
    ['1.5', undefined],
  ] as const) {
    isUsageError(t, () => targetCount(wanted, kept), wanted);
  }
});

t.test('the state survives, and damage is said', async (t) => {
  const folder = t.testdir({ damaged: '{"ports":', wrong: '{"ports":{"mgmtd":1},"targets":4}' });
  const state = { ports: await choosePorts(undefined, async () => true), targets: 5 };
  await writeState(`${folder}/state`, state);
  t.same(await readState(`${folder}/state`), state);
  t.equal(await readState(`${folder}/absent`), undefined);
  await t.rejects(readState(`${folder}/damaged`), { message: /damaged/ });
  await t.rejects(readState(`${folder}/wrong`), { message: /damaged/ });
});

t.test('targets keep their daemon however many there are; configurations are valid', async (t) => {
  const files = devFiles(t.testdir({ config: {} }));
  const ports = await choosePorts(undefined, async () => true);
  const targetsOf = (targets: number): string[][] =>
    planDaemons(files, { ports, targets })
      .filter(({ kind }) => kind === 'storage')
      .map(({ config }) =>
        (JSON.parse(/^targets = (.*)$/m.exec(config)?.[1] as string) as string[]).map((path) => path.slice(files.folder.length + 1)),
      );
  t.same(targetsOf(1), [['target-1']]);
  t.same(targetsOf(4), [
    ['target-1', 'target-3'],
    ['target-2', 'target-4'],
  ]);
  t.same(targetsOf(5), [
    ['target-1', 'target-3', 'target-5'],
    ['target-2', 'target-4'],
  ]);
  const { writeFile } = await import('node:fs/promises');
  for (const { name, kind, config } of planDaemons(files, { ports, targets: 4 })) {
    await writeFile(files.config(name), config);
    t.doesNotThrow(() => loadConfig(kind, { file: files.config(name), environment: {} }), name);
  }
});

t.test('folders', async (t) => {
  t.equal(defaultDataFolder({ XDG_DATA_HOME: '/data' }), '/data/ibexfs');
  t.match(defaultDataFolder({}), /\/\.local\/share\/ibexfs$/);
  t.match(defaultDataFolder({ XDG_DATA_HOME: 'relative' }), /\/\.local\/share\/ibexfs$/, 'a relative one does not count');
});

t.test('what is said', async (t) => {
  t.equal(describeState({ name: 'waiting', reason: 'ended by SIGKILL', pauseMs: 250 }), 'ended by SIGKILL; starts again in 0.3 s');
  const facts = {
    folder: '/d',
    mount: '/d/my mnt',
    noMountReason: undefined,
    httpPort: 7411,
    key: '/d/key',
    command: 'ibex',
    config: undefined,
  };
  t.match(welcome(facts), "cp -r /usr/include '/d/my mnt'/");
  t.match(welcome({ ...facts, mount: undefined, noMountReason: 'this machine has no /dev/fuse' }), 'none: this machine has no /dev/fuse');
  t.match(welcome({ ...facts, config: '/d/config/client.toml' }), 'ibex --config /d/config/client.toml status');
  t.equal(readableLine('{"level":60,"msg":"cannot","err":{"message":"because"}}'), 'cannot: because');
  t.equal(readableLine('ibex mgmtd: no'), 'ibex mgmtd: no');
});
