// npm's install script, and the one place that knows how the native addon is built for use (the
// developer's build with tests and sanitizers is native/CMakeLists.txt). Imports nothing but Node:
// it is shipped in the package and runs before any dependency can be relied on.
//
// `npm install` never fails because of the addon: what is missing is printed and the exit code is 0,
// unless IBEXFS_REQUIRE_NATIVE=1. `ibex doctor` says later what cannot be used without it.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const addonFolder = join(root, 'build', 'Release');
const stampFile = join(addonFolder, 'ibexfs.sources');

/** A digest over names and contents of files; folders are walked. Names in `skip` are left out. */
export function digestFiles(paths, { extensions, skip = [], salt = '' } = {}) {
  const hash = createHash('sha256').update(salt);
  const visit = (path) => {
    let entries;
    try {
      entries = readdirSync(path, { withFileTypes: true });
    } catch (error) {
      if (error.code === 'ENOENT') return;
      if (error.code !== 'ENOTDIR') throw error;
      if (extensions && !extensions.some((extension) => path.endsWith(extension))) return;
      hash.update(`\0${path.slice(root.length)}\0`).update(readFileSync(path));
      return;
    }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) if (!skip.includes(entry.name)) visit(join(path, entry.name));
  };
  for (const path of paths) visit(path);
  return hash.digest('hex');
}

export function readStamp(file) {
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
}

/** What the built addon depends on: its sources and the Node it is built for. */
function nativeDigest() {
  return digestFiles([join(root, 'native'), join(root, 'binding.gyp')], {
    skip: ['test', 'CMakeLists.txt'],
    salt: `${process.versions.modules} ${process.versions.napi} ${process.arch}`,
  });
}

function addonExists() {
  return existsSync(addonFolder) && readdirSync(addonFolder).some((name) => name.endsWith('.node'));
}

export function nativeIsCurrent() {
  return addonExists() && readStamp(stampFile) === nativeDigest();
}

/** Node's headers beside the running node, when they are of the same version: then nothing is downloaded. */
function localHeaders() {
  if (process.env.npm_config_nodedir || process.env.npm_package_config_node_gyp_nodedir) return [];
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const header = join(prefix, 'include', 'node', 'node_version.h');
  if (!existsSync(header)) return [];
  const text = readFileSync(header, 'utf8');
  const part = (name) => text.match(new RegExp(`#define NODE_${name}_VERSION (\\d+)`))?.[1];
  return process.versions.node === `${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}` ? [`--nodedir=${prefix}`] : [];
}

/** Tools that node-gyp calls, as [what is missing, where to get it]. */
export function missingBuildTools() {
  const folders = (process.env.PATH ?? '').split(':');
  const has = (...names) => names.some((name) => folders.some((folder) => existsSync(join(folder, name))));
  return [
    has('g++', 'clang++', 'c++') ? '' : 'a C++20 compiler (Debian, Ubuntu: g++; Fedora, RHEL: gcc-c++)',
    has('make') ? '' : 'make',
    has('python3') ? '' : 'python3 (node-gyp is written in it)',
  ].filter((line) => line !== '');
}

/**
 * node-gyp of this checkout, started by npm so that npm's own settings for it (nodedir, proxy) hold; else the one
 * that npm brings along for install scripts.
 */
function nodeGyp() {
  if (existsSync(join(root, 'node_modules', '.bin', 'node-gyp'))) return ['npm', 'exec', '--no', '--', 'node-gyp'];
  const bundled = process.env.npm_config_node_gyp;
  return bundled ? [process.execPath, bundled] : ['node-gyp'];
}

/** Builds build/Release/*.node with node-gyp, quietly; resolves to '' or to what went wrong. */
export async function buildNative() {
  const missing = missingBuildTools();
  if (missing.length > 0) return `to build the native part this machine lacks:\n${missing.map((line) => `  - ${line}\n`).join('')}`;
  const digest = nativeDigest();
  // A changed Node needs everything again; otherwise make rebuilds what changed.
  const steps = addonExists() ? ['configure', 'build'] : ['rebuild'];
  const jobs = String(Math.max(1, availableParallelism()));
  const [command, ...args] = [...nodeGyp(), ...steps, `--jobs=${jobs}`, ...localHeaders()];
  const child = spawn(command, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, npm_config_loglevel: 'error' },
  });
  const output = [];
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stderr.on('data', (chunk) => output.push(chunk));
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', resolve);
  });
  if (code !== 0) return `node-gyp failed (exit code ${code}):\n${Buffer.concat(output).toString('utf8').trimEnd()}\n`;
  mkdirSync(addonFolder, { recursive: true });
  writeFileSync(stampFile, `${digest}\n`);
  return '';
}

async function main() {
  if (nativeIsCurrent()) return;
  if (!existsSync(join(root, 'binding.gyp'))) return;
  console.log('ibexfs: building the native part');
  const problem = await buildNative();
  if (problem === '') return;
  console.error(`ibexfs: the native part was not built: ${problem}`);
  console.error('ibexfs: after that run `npm rebuild ibexfs`, or `npm start` in a checkout; `ibex doctor` shows what is there.');
  if (process.env.IBEXFS_REQUIRE_NATIVE === '1') process.exitCode = 1;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
