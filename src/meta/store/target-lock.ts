/**
 * Keeps two processes from one folder. The lock file names its owner by host, pid and the start time of the
 * process, so that a lock left by a process that was killed is known from a living one with a reused pid.
 */
import { randomBytes } from 'node:crypto';
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { IbexError } from '../../wire/errors.js';

/** Start of a process in clock ticks since boot, with the boot it belongs to; undefined when it does not run. */
async function processStart(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    // The command's name may hold spaces and brackets: fields are counted from its last closing bracket.
    return `${boot.trim()} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return undefined;
  }
}

async function isStale(owner: string): Promise<boolean> {
  const [host, pid, ...start] = owner.trim().split(' ');
  if (host !== hostname()) return false;
  return (await processStart(Number(pid))) !== start.join(' ');
}

/** Takes the folder, or throws ERR_OVERLOADED naming the process that has it. Returns what frees it. */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, 'lock');
  const own = join(folder, `lock.${process.pid}.${randomBytes(4).toString('hex')}`);
  const mine = `${hostname()} ${process.pid} ${await processStart(process.pid)}\n`;
  await writeFile(own, mine, { flag: 'wx', mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        await link(own, path);
        return async () => unlink(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const owner = await readFile(path, 'utf8').catch(() => undefined);
      if (owner === undefined) continue;
      if (!(await isStale(owner))) {
        throw new IbexError(
          'ERR_OVERLOADED',
          `${folder} is in use by process ${owner.split(' ').slice(0, 2).reverse().join(' on ')}; stop it, or remove ${path} when it runs no more`,
        );
      }
      await removeStale(path, `${own}.stale`, owner);
    }
    throw new IbexError('ERR_OVERLOADED', `${path} keeps changing hands; is the target started twice?`);
  } finally {
    await unlink(own);
  }
}

/** Moves the lock aside first: of several processes that found it stale, only the one that moved the stale one may go on. */
async function removeStale(path: string, aside: string, owner: string): Promise<void> {
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  // A new owner's lock was moved by mistake: it goes back unless a third one came.
  if ((await readFile(aside, 'utf8')) !== owner) await link(aside, path).catch(() => undefined);
  await unlink(aside);
}
