/** What a killed `ibex dev` may have left in its folder: daemons that are still ending, and a mount. */
import { readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../cli/exit-codes.js';
import { mountPaths, parseMountInfo, realMountPath, unmount } from '../cli/mounts.js';
import type { DevFiles } from './files.js';

/** Daemons notice within moments that their parent is gone, and give themselves some seconds to stop. */
const LEAVE_MS_MAX = 20_000;
const POLL_MS = 50;
/** A living mount answers statfs from its own memory, or asks mgmtd once. */
const ANSWER_MS_MAX = 2_000;

export async function rememberProcesses(files: DevFiles, pids: readonly number[]): Promise<void> {
  await writeFile(files.processes, `${JSON.stringify(pids)}\n`);
}

/** A process id may belong to somebody else by now: ours has the cluster's folder in its command line. */
async function isOurs(pid: number, folder: string): Promise<boolean> {
  try {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    return commandLine.includes('--exit-with-parent') && commandLine.includes(`${folder}/`);
  } catch {
    return false;
  }
}

async function remaining(pids: readonly number[], folder: string): Promise<number[]> {
  const ours = await Promise.all(pids.map((pid) => isOurs(pid, folder)));
  return pids.filter((_, index) => ours[index]);
}

/** Waits for daemons of an earlier run to end, and ends those that do not. @param say told once when there is something to wait for */
export async function waitForEarlierRun(files: DevFiles, say: (text: string) => void): Promise<void> {
  let pids: number[];
  try {
    const recorded: unknown = JSON.parse(await readFile(files.processes, 'utf8'));
    pids = Array.isArray(recorded) ? recorded.filter((pid): pid is number => Number.isInteger(pid) && pid > 1) : [];
  } catch {
    return;
  }
  let left = await remaining(pids, files.folder);
  if (left.length > 0) say(`waiting for ${left.length} processes of the last run to end`);
  const giveUpMs = performance.now() + LEAVE_MS_MAX;
  while (left.length > 0) {
    if (performance.now() > giveUpMs) for (const pid of left) process.kill(pid, 'SIGKILL');
    await sleep(POLL_MS);
    left = await remaining(left, files.folder);
  }
  await rm(files.processes, { force: true });
}

/** The process behind a FUSE mount is gone. One that does not answer in time lives. */
async function isDead(path: string): Promise<boolean> {
  const dead = statfs(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOTCONN',
  );
  return await Promise.race([dead, sleep(ANSWER_MS_MAX, false, { ref: false })]);
}

/**
 * Takes away a mount whose process was killed; refuses when something else is mounted there, such as the living
 * mount of another cluster.
 */
export async function removeStaleMount(mountPoint: string, say: (text: string) => void): Promise<void> {
  const path = realMountPath(mountPoint);
  for (;;) {
    const mountInfo = await readFile('/proc/self/mountinfo', 'utf8');
    if (!mountPaths(mountInfo).includes(path)) return;
    const stale = parseMountInfo(mountInfo).some((mount) => mount.path === path) && (await isDead(path));
    if (!stale) throw new CliError(`something else is mounted at ${mountPoint}; unmount it, or choose another folder with --mount`);
    say(`taking away the mount that the last run left at ${mountPoint}`);
    await unmount(path, { lazy: true });
  }
}
