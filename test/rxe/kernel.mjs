// Debian's kernel for the machine, from Debian's package archive as apt knows it: unpacked, not installed, once for each release
// into the user's cache folder, <cache>/ibexfs/rxe/<release>.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { mustRun, progress, SetupError } from '../../scripts/setup/process.mjs';
import { removeAtExit } from './leftovers.mjs';

const META_PACKAGE = 'linux-image-amd64';
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ibexfs', 'rxe');

const unpacked = (release) => ({
  release,
  /** For modprobe -d: the folder that holds lib/modules/<release>. */
  root: join(cache, release),
  image: join(cache, release, 'boot', `vmlinuz-${release}`),
  modules: join(cache, release, 'lib', 'modules', release),
});

/** The newest kernel that is in the cache already. */
function newestCached() {
  if (!existsSync(cache)) return undefined;
  const releases = readdirSync(cache).filter((name) => existsSync(unpacked(name).image));
  return releases.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
}

/** The package that Debian's meta package for kernels stands for now. */
async function currentPackage() {
  const text = await mustRun('asking apt for a kernel', 'apt-cache', ['depends', META_PACKAGE]);
  const name = /Depends: (linux-image-\S+)/.exec(text)?.[1];
  if (name === undefined) throw new SetupError(`apt knows no ${META_PACKAGE}: run apt-get update (the kernel is Debian's)`);
  return name;
}

/** Built aside and renamed into place: a second caller at the same time does the work twice, and neither sees half of it. */
async function fetchKernel() {
  const name = await currentPackage();
  const release = name.replace('linux-image-', '');
  progress(`fetching ${name}`);
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, '.new-'));
  const removed = removeAtExit(work);
  try {
    // _apt, the user as whom apt fetches, may not write here: as root it says so, and fetches as root.
    await mustRun(`fetching ${name}`, 'apt-get', ['-qq', '-o', 'APT::Sandbox::User=root', 'download', name], { cwd: work });
    const archive = readdirSync(work).find((file) => file.endsWith('.deb'));
    const tree = join(work, 'tree');
    await mustRun(`unpacking ${name}`, 'dpkg-deb', ['-x', join(work, archive), tree]);
    await mustRun('listing the modules', 'depmod', ['-b', tree, release]);
    rmSync(join(tree, 'boot', `System.map-${release}`), { force: true });
    renameSync(tree, join(cache, release));
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  } finally {
    removed();
  }
  return release;
}

export async function kernel() {
  return unpacked(newestCached() ?? (await fetchKernel()));
}
