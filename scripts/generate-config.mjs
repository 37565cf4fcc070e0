// Writes config/*.toml from the key table (src/config). Needs the compiled sources: `node scripts/generate-config.mjs [DIST]`.
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = resolve(import.meta.dirname, '..');
const dist = resolve(process.argv[2] ?? join(root, 'dist'));
const load = (path) => import(pathToFileURL(join(dist, path)).href);
const { renderConfigFile } = await load('src/config/document.js');
const { configKinds } = await load('src/config/kinds.js');

for (const kind of Object.keys(configKinds)) writeFileSync(join(root, 'config', `${kind}.toml`), renderConfigFile(kind));
