/** Cold page caches for some files, without touching the rest of the machine's. */
import { run } from '../test/cluster/cluster.js';

/** Writes back and drops the cached pages of every file below the folders. */
export async function evict(folders: readonly string[]): Promise<void> {
  await run('sync', []);
  for (const folder of folders) {
    // dd with nocache and count=0 asks the kernel (POSIX_FADV_DONTNEED) to drop the whole file.
    await run('find', [folder, '-type', 'f', '-exec', 'dd', 'if={}', 'iflag=nocache', 'count=0', 'status=none', ';']);
  }
}
