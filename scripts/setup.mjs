// Brings a checkout to where it can run ('run'), be tested ('test') or measured ('bench'): system packages,
// npm packages, the native addon, compiled TypeScript. Does nothing, in well under half a second, when nothing changed.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildNative, nativeIsCurrent, root } from './install.mjs';
import { ensureNodePackages } from './setup/node-packages.mjs';
import { progress, SetupError } from './setup/process.mjs';
import { ensureSystemPackages } from './setup/system-packages.mjs';
import { ensureTypescript } from './setup/typescript.mjs';

const NODE_MAJOR_MIN = 20;

async function ensureNative() {
  if (nativeIsCurrent() || !existsSync(join(root, 'binding.gyp'))) return;
  progress('building the native part (a minute or two the first time)');
  const problem = await buildNative();
  if (problem !== '') throw new SetupError(problem);
}

/** @param {'run' | 'test' | 'bench'} level */
export async function setup(level) {
  if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN)
    throw new SetupError(`Node ${NODE_MAJOR_MIN} or newer is needed, this is ${process.version}; see https://nodejs.org/en/download`);
  await ensureSystemPackages(level);
  await ensureNodePackages();
  await ensureNative();
  await ensureTypescript();
}

/** Runs a script's main function; problems of the set-up end it with their text alone. */
export async function main(body) {
  try {
    process.exitCode = await body(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
