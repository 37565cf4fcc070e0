import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { renderConfigFile } from '../../src/config/document.js';
import { type ConfigKind, configKinds, loadConfig } from '../../src/config/index.js';

const kinds = Object.keys(configKinds) as ConfigKind[];

/** Tests run in the checkout's root, as npm does it. */
const shipped = (kind: ConfigKind): string => join(process.cwd(), 'config', `${kind}.toml`);

test('the files in config/ are what the key table says', async (t) => {
  for (const kind of kinds)
    t.equal(readFileSync(shipped(kind), 'utf8'), renderConfigFile(kind), `config/${kind}.toml is current; else run: npm run generate`);
});

test('the files in config/ hold the defaults', async (t) => {
  for (const kind of kinds) {
    const byFile = loadConfig(kind, { file: shipped(kind), environment: {} });
    t.same(byFile, loadConfig(kind, { file: null, environment: {} }), kind);
  }
});

test('every key is documented and no default listens beyond this machine', async (t) => {
  for (const [kind, sections] of Object.entries(configKinds)) {
    for (const [section, keys] of Object.entries(sections as Record<string, Record<string, { help: string }>>)) {
      for (const [name, key] of Object.entries(keys)) t.match(key.help, /^["A-Z].*[.)]$/, `${kind} ${section}.${name} has a sentence`);
    }
  }
  t.equal(loadConfig('mgmtd', { file: null, environment: {} }).http.host, '127.0.0.1');
  for (const kind of ['mgmtd', 'meta', 'storage'] as const)
    t.equal(loadConfig(kind, { file: null, environment: {} }).listen.host, '127.0.0.1');
});
