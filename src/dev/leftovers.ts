/** What a killed `ibex dev` may have left in its folder: daemons that are still ending, and a mount. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../cli/exit-codes.js';
import { ibexMounts, unmount } from '../cli/mounts.js';
import type { DevFiles } from './files.js';

/** Daemons notice within moments that their parent is gone, and give themselves some seconds to stop. */
const LEAVE_MS_MAX = 20_000;
const POLL_MS = 50;

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

/** Takes away a mount that a killed run left; refuses when something else is mounted there. */
export async function removeStaleMount(mountPoint: string, say: (text: string) => void): Promise<void> {
  const ours = ibexMounts().filter((mount) => mount.path === mountPoint);
  for (const _ of ours) {
    say(`taking away the mount that the last run left at ${mountPoint}`);
    await unmount(mountPoint, { lazy: true });
  }
  const mountInfo = await readFile('/proc/self/mountinfo', 'utf8');
  const other = mountInfo.split('\n').some((line) => line.split(' ')[4] === mountPoint);
  if (other) throw new CliError(`something else is mounted at ${mountPoint}; choose another folder with --mount`);
}
