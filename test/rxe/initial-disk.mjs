// The machine's initial RAM disk: busybox, init.sh, and the modules that are needed to see the host's files.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mustRun, SetupError } from '../../scripts/setup/process.mjs';

const MODULES = ['virtio_pci', '9pnet_virtio', '9p', 'overlay'];
const init = fileURLToPath(new URL('init.sh', import.meta.url));

/** Where busybox is, asked of the shell since Debian's place for it has moved. */
async function busybox() {
  return (await mustRun('looking for busybox', 'sh', ['-c', 'command -v busybox'])).trim();
}

/** Writes `initial-disk` in `folder`. */
export async function makeInitialDisk(kernel, folder) {
  const work = join(folder, 'initial');
  for (const folder of ['bin', 'modules', 'proc', 'dev', 'host', 'memory', 'new']) mkdirSync(join(work, folder), { recursive: true });
  copyFileSync(await busybox(), join(work, 'bin', 'busybox'));
  copyFileSync(init, join(work, 'init'));
  chmodSync(join(work, 'init'), 0o755);
  const args = ['-d', kernel.root, '-S', kernel.release, '--show-depends', '-a', ...MODULES];
  const lines = (await mustRun('looking for modules', 'modprobe', args)).split('\n');
  const paths = [...new Set(lines.map((line) => /^insmod (\S+)/.exec(line)?.[1]).filter((path) => path !== undefined))];
  const names = [];
  for (const path of paths) {
    copyFileSync(path, join(work, 'modules', basename(path)));
    // Newer Debian compresses modules; busybox's insmod wants them plain.
    if (path.endsWith('.xz')) await mustRun('unpacking a module', 'xz', ['-d', join(work, 'modules', basename(path))]);
    names.push(basename(path, '.xz'));
  }
  writeFileSync(join(work, 'modules', 'order'), `${names.join('\n')}\n`);
  const list = readdirSync(work, { recursive: true });
  const archive = spawnSync('cpio', ['-o', '-H', 'newc', '--quiet', '-O', join(folder, 'initial-disk')], {
    cwd: work,
    input: `${list.join('\n')}\n`,
  });
  if (archive.status !== 0) throw new SetupError(`cpio failed: ${archive.error?.message ?? archive.stderr}`);
}
