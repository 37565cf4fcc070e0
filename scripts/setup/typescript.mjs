// TypeScript -> dist, only when a source changed.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestFiles, readStamp, root } from '../install.mjs';
import { progress, run, SetupError } from './process.mjs';

const distFolder = join(root, 'dist');
const stampFile = join(distFolder, '.sources');

function sourcesDigest() {
  const sources = ['src', 'test', 'bench', 'tsconfig.json', 'package-lock.json'].map((name) => join(root, name));
  return digestFiles(sources, { extensions: ['.ts', '.json'] });
}

/** A source that was removed must not live on in dist: its tests would still run. */
function removeOrphans(folder) {
  const output = join(distFolder, folder);
  if (!existsSync(output)) return;
  for (const entry of readdirSync(output, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) removeOrphans(path);
    else if (!existsSync(join(root, path.replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts')))) rmSync(join(distFolder, path));
  }
}

/** @param {{ force?: boolean }} options */
export async function ensureTypescript({ force = false } = {}) {
  const digest = sourcesDigest();
  if (!force && readStamp(stampFile) === digest) return;
  progress('compiling TypeScript');
  mkdirSync(distFolder, { recursive: true });
  for (const name of ['src', 'test', 'bench']) removeOrphans(name);
  // Without outputs the compiler's record of what it emitted is wrong.
  if (!existsSync(join(distFolder, 'src'))) rmSync(join(distFolder, '.tsbuildinfo'), { force: true });
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { code, output } = await run(process.execPath, [compiler, '-p', root, '--pretty', String(process.stdout.isTTY === true)]);
  if (code !== 0) throw new SetupError(`TypeScript does not compile:\n${output.trimEnd()}`);
  writeFileSync(stampFile, `${digest}\n`);
}
