/** ibexfs/rdma on any machine: with a device, without one, without the library. And its documentation. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import * as rdma from '../../src/rdma/index.js';

const ibex = fileURLToPath(new URL('../../../bin/ibex.mjs', import.meta.url));
const module = JSON.stringify(new URL('../../src/rdma/index.js', import.meta.url).href);

t.test('availability has a reason, and a cure where something is missing', async (t) => {
  const { state, reason, cure } = rdma.availability();
  t.match(state, /^(noLibrary|noDevice|usable)$/);
  t.not(reason, '');
  t.equal(cure === '', state === 'usable');
  const report = rdma.devices();
  t.same(report.availability, rdma.availability());
  t.equal(report.devices.length > 0, state === 'usable');
  if (state === 'usable') return;
  t.throws(() => rdma.openDevice(), { code: 'ERR_RDMA_UNAVAILABLE', message: new RegExp(reason.slice(0, 20)) });
});

t.test('without the library everything loads and says what to install', async (t) => {
  // A library of that name which is none comes first where the loader looks.
  const folder = t.testdir({});
  mkdirSync(`${folder}/lib`);
  writeFileSync(`${folder}/lib/libibverbs.so.1`, 'not a library');
  const env = { ...process.env, LD_LIBRARY_PATH: `${folder}/lib`, NO_COLOR: '1' };
  const program = `import { devices, openDevice } from ${module};
    const { availability, devices: list } = devices();
    let code; try { openDevice(); } catch (error) { code = error.code; }
    console.log(JSON.stringify({ availability, list, code }));`;
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { env, encoding: 'utf8' });
  t.equal(status, 0);
  t.match(JSON.parse(stdout), {
    availability: { state: 'noLibrary', reason: /cannot open libibverbs\.so\.1/, cure: /ibverbs-providers/ },
    list: [],
    code: 'ERR_RDMA_UNAVAILABLE',
  });
  const shown = spawnSync(process.execPath, [ibex, 'rdma', 'devices', '--output', 'json'], { env, encoding: 'utf8' });
  t.equal(shown.status, 4);
  t.match(JSON.parse(shown.stdout), { availability: { state: 'noLibrary' }, devices: [] });
  const doctor = spawnSync(process.execPath, [ibex, 'doctor', '--no-cluster', '--output', 'json'], { env, encoding: 'utf8' });
  t.match(doctor.stdout, /libibverbs\.so\.1/);
});

t.test('every public name is documented', async (t) => {
  const guide = readFileSync(new URL('../../../docs/rdma.md', import.meta.url), 'utf8');
  const index = readFileSync(new URL('../../../src/rdma/index.ts', import.meta.url), 'utf8');
  const names = [...index.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list = '']) =>
    list
      .split(',')
      .map((name) => name.trim().replace(/^type /, ''))
      .filter((name) => name !== ''),
  );
  t.ok(names.length > 30);
  for (const name of Object.keys(rdma)) t.ok(names.includes(name), name);
  for (const name of names) t.match(guide, new RegExp(`\`${name}\\b`), `${name} is in docs/rdma.md`);
  for (const code of Object.keys(rdma.rdmaErrorCodes)) t.match(guide, code);
  // Members of classes: as `name(` or `name`.
  for (const [name, value] of Object.entries(rdma)) {
    if (typeof value !== 'function' || value.prototype === undefined) continue;
    const own = Object.getOwnPropertyNames(value.prototype).filter((member) => !internal.has(member));
    for (const member of own) t.match(guide, new RegExp(`[.\`]${member}\\b`), `${name}.${member} is in docs/rdma.md`);
  }
});

/** Members that the parts of the library use among themselves; @internal in the source. */
const internal = new Set([
  'constructor',
  'native',
  'adopt',
  'disown',
  'append',
  'requireOpen',
  'slot',
  'pump',
  'waits',
  'completed',
  'refused',
  'lose',
]);

t.test('a registry of errors that says something of each', async (t) => {
  for (const [code, summary] of Object.entries(rdma.rdmaErrorCodes)) {
    const error = new rdma.RdmaError(code as rdma.RdmaErrorCode, summary, { verb: 'ibv_post_send', port: 1 });
    t.match(error, { code, message: summary, verb: 'ibv_post_send', port: 1, name: 'IbexError' });
    t.ok(error.errno < 0);
  }
});
