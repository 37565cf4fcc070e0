/** Folders of daemons: made, checked, held by one process; and files in them replaced whole or not at all. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, rename, stat, unlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { explainFileError, StartupError } from './startup-error.js';

/**
 * Makes the folder when missing and proves that it can be written.
 *
 * @throws StartupError that names the folder and its purpose
 */
export async function ensureFolder(path: string, purpose: string): Promise<void> {
  const probe = join(path, `.write-probe-${randomBytes(6).toString('hex')}.tmp`);
  try {
    await makeFolder(path);
    await (await open(probe, 'wx', 0o600)).close();
    await unlink(probe);
  } catch (error) {
    throw explainFileError(error, `${purpose} ${path}`);
  }
}

/** Not mkdir's `recursive`: where a parent exists and cannot hold folders (/proc) that never returns. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    const parent = dirname(path);
    if (
      code !== 'ENOENT' ||
      parent === path ||
      (await stat(parent).then(
        () => true,
        () => false,
      ))
    )
      throw error;
    await makeFolder(parent);
    await mkdir(path, { mode: 0o700 });
  }
}

/** Once it has returned a power cut leaves the new content; before that the old or the new, never a part. */
export async function writeFileAtomic(path: string, content: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await file.close().catch(() => {});
    await unlink(temporary).catch(() => {});
    throw error;
  }
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export interface FolderLock {
  release(): Promise<void>;
}

/**
 * Holds a folder for this process, under whatever path it was named. The lock is an abstract socket bound to
 * a name made from device and inode: the kernel frees it when the process ends, however it ends.
 *
 * @throws StartupError when another process holds the folder
 */
export async function lockFolder(path: string, purpose: string): Promise<FolderLock> {
  const { dev, ino } = await stat(path, { bigint: true });
  const name = createHash('sha256').update(`ibexfs folder ${dev}:${ino}`).digest('hex').slice(0, 32);
  // Whoever connects learns nothing and is cut off.
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(
        taken
          ? new StartupError(
              'ERR_EXISTS',
              `${purpose} ${path}: another ibexfs daemon on this machine uses it; stop that one or configure another folder`,
              { cause: error },
            )
          : explainFileError(error, `${purpose} ${path}`),
      );
    });
    server.listen({ path: `\0ibexfs-${name}` }, resolve);
  });
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}
