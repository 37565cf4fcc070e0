/** Folders of daemons: made, checked, held by one process; and files in them replaced whole or not at all. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, stat, unlink } from 'node:fs/promises';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { loadNative } from '../native.js';
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

/** Stands in every folder that a process holds or held. */
export const LOCK_FILE = 'lock';

/**
 * Holds a folder for this process, under whatever path it was named and in whatever container the others run.
 * The kernel frees it when the process ends, however it ends.
 *
 * @throws StartupError when another process holds the folder
 */
export async function lockFolder(path: string, purpose: string): Promise<FolderLock> {
  const native = loadNative();
  let descriptor: number | undefined;
  try {
    descriptor = native.lockFile(join(path, LOCK_FILE));
  } catch (error) {
    if ((error as { status?: unknown }).status !== constants.errno.EAGAIN) throw explainFileError(error, `${purpose} ${path}`);
    throw new StartupError(
      'ERR_EXISTS',
      `${purpose} ${path}: another ibexfs process uses it (it holds ${LOCK_FILE} in it); stop that one or configure another folder`,
      { cause: error },
    );
  }
  return {
    release: async () => {
      if (descriptor !== undefined) native.unlockFile(descriptor);
      descriptor = undefined;
    },
  };
}
