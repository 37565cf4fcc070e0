// npm packages: installs them only when node_modules is not what package-lock.json asks for.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readStamp, root } from '../install.mjs';
import { mustRun, progress } from './process.mjs';

const lockFile = join(root, 'package-lock.json');
const installedFile = join(root, 'node_modules', '.package-lock.json');
const stampFile = join(root, 'node_modules', '.ibexfs-lock');

function lockDigest() {
  return createHash('sha256').update(readFileSync(lockFile)).digest('hex');
}

/** npm's own record of what it installed agrees with the lock file (optional packages may be absent). */
function installedMatchesLock() {
  if (!existsSync(installedFile)) return false;
  const wanted = JSON.parse(readFileSync(lockFile, 'utf8')).packages;
  const installed = JSON.parse(readFileSync(installedFile, 'utf8')).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.optional || entry.devOptional || entry.link) return true;
    return installed[path]?.version === entry.version;
  });
}

export async function ensureNodePackages() {
  const digest = lockDigest();
  if (readStamp(stampFile) === digest) return;
  if (!installedMatchesLock()) {
    progress('installing npm packages');
    // Not `npm ci`: it refuses a lock file that lacks optional packages of other platforms, as a registry mirror may.
    await mustRun('npm install', 'npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']);
  }
  writeFileSync(stampFile, `${digest}\n`);
}
