/** Cold page caches for some files, without touching the rest of the machine's. */
import { run } from '../test/cluster/cluster.js';

/** One process for thousands of files; Node itself has no posix_fadvise. */
const DROP = `
import os, sys
for top in sys.argv[1:]:
    for folder, _, names in os.walk(top):
        for name in names:
            try:
                file = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:
                continue  # removed meanwhile, a socket, a link
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
`;

/** Writes back and drops the cached pages of every file below the folders. */
export async function evict(folders: readonly string[]): Promise<void> {
  await run('sync', []);
  const { code, stderr } = await run('python3', ['-c', DROP, ...folders]);
  if (code !== 0) throw new Error(`caches are not cold: ${stderr}`);
}
