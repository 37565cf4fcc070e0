// A machine with a real RDMA device: Debian's kernel in QEMU, soft-RoCE (rdma_rxe), this machine's files as its own. See README.md.
// Runs one command and ends; the process here owns QEMU, its sockets and its folder, and takes all of them along when it ends.
import { spawn } from 'node:child_process';
import { accessSync, constants, copyFileSync, existsSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { makeInitialDisk } from './initial-disk.mjs';
import { kernel as findKernel } from './kernel.mjs';
import { atExit, removeAtExit } from './leftovers.mjs';

export const TIMED_OUT = 124;
export const NOT_STARTED = 125;

/** With KVM a machine is up in 2 s, emulated on a busy machine in 20 s. */
const STARTED_MS_MAX = { kvm: 30_000, tcg: 180_000 };

const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;

/** What guest.sh reads, in the folder that both sides share. */
function writeOrders(folder, kernel, { command, shares, wire }) {
  copyFileSync(fileURLToPath(new URL('guest.sh', import.meta.url)), join(folder, 'guest.sh'));
  const settings = { RELEASE: kernel.release, MODULES: kernel.modules, HOST: String(wire?.host ?? 0), PATH: process.env.PATH };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${quote(value)}\n`);
  writeFileSync(join(folder, 'settings'), lines.join(''));
  writeFileSync(join(folder, 'command'), `cd ${quote(process.cwd())} || exit\nexec ${command.map(quote).join(' ')}\n`);
  writeFileSync(join(folder, 'shares'), shares.map((share, index) => `share${index} ${share}\n`).join(''));
}

/** QEMU takes a comma in a value only when it is doubled. */
const value = (text) => text.replaceAll(',', ',,');

function virtualFolder(tag, path, more = '') {
  return ['-virtfs', `local,path=${value(path)},mount_tag=${tag},security_model=none,multidevs=remap${more}`];
}

/** Datagrams between two Unix sockets: either machine may start first, die, and come back. */
function wireArguments({ folder, host }) {
  const [own, other] = [host, 3 - host].map((number) => value(join(folder, `host${number}`)));
  const wire = `dgram,id=wire,local.type=unix,local.path=${own},remote.type=unix,remote.path=${other}`;
  return ['-netdev', wire, '-device', `virtio-net-pci,netdev=wire,mac=52:54:00:00:00:0${host},romfile=`];
}

function qemuArguments(accelerator, kernel, folder, { processors, memoryMiB, shares, disks, wire }) {
  return [
    ['-accel', accelerator, '-cpu', 'max', '-smp', String(processors), '-m', String(memoryMiB)],
    ['-no-user-config', '-nodefaults', '-no-reboot', '-display', 'none', '-nic', 'none'],
    ['-kernel', kernel.image, '-initrd', join(folder, 'initial-disk')],
    ['-append', 'console=ttyS0 quiet panic=-1 net.ifnames=0 mitigations=off tsc=reliable'],
    ['-serial', `file:${join(folder, 'console')}`],
    ['-device', 'virtio-serial-pci'],
    ['-chardev', 'stdio,id=stdout,signal=off', '-device', 'virtserialport,chardev=stdout,name=stdout'],
    ['-chardev', `socket,id=stderr,path=${value(join(folder, 'stderr.socket'))}`, '-device', 'virtserialport,chardev=stderr,name=stderr'],
    virtualFolder('root', '/', ',readonly=on'),
    virtualFolder('machine', folder),
    ...shares.map((share, index) => virtualFolder(`share${index}`, share)),
    ...disks.map((disk) => ['-drive', `file=${value(disk)},format=raw,if=virtio`]),
    wire === undefined ? [] : wireArguments(wire),
  ].flat();
}

/** A /dev/kvm without the processor's virtualization (as some clouds have it) does not run Debian's kernel. */
function hasKvm() {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return /^flags\s.*\b(vmx|svm)\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return false;
  }
}

/** Runs QEMU once; resolves when it has ended. `expired` says whether the time was over. */
async function boot(accelerator, kernel, folder, options) {
  const { stdout, stderr } = options;
  const errors = createServer((socket) => socket.pipe(stderr, { end: false }));
  await new Promise((resolve) => errors.listen(join(folder, 'stderr.socket'), resolve));
  // setpriv: the machine ends with this process even if that is killed without warning.
  const args = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...qemuArguments(accelerator, kernel, folder, options)];
  // Its input stays open and empty: QEMU takes the end of it for the end of the port.
  const qemu = spawn('setpriv', args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const complaints = [];
  qemu.stdout.pipe(stdout, { end: false });
  qemu.stderr.on('data', (chunk) => complaints.push(chunk));
  const kill = atExit(() => qemu.kill('SIGKILL'));
  options.signal?.addEventListener('abort', kill);
  let expired = false;
  const started = setTimeout(() => existsSync(join(folder, 'started')) || kill(), STARTED_MS_MAX[accelerator]);
  const limit = setTimeout(() => {
    expired = true;
    kill();
  }, options.timeLimitS * 1000);
  await new Promise((resolve) => {
    qemu.once('close', resolve);
    qemu.once('error', (error) => resolve(complaints.push(Buffer.from(`setpriv: ${error.message}\n`))));
  });
  clearTimeout(started);
  clearTimeout(limit);
  options.signal?.removeEventListener('abort', kill);
  kill();
  await new Promise((resolve) => errors.close(resolve));
  return { expired, complaints: Buffer.concat(complaints).toString() };
}

/** The end of what the kernel and QEMU said: all there is when a machine did not get to its command. */
function lastWords(folder, complaints) {
  const file = join(folder, 'console');
  const console = existsSync(file) ? stripVTControlCharacters(readFileSync(file, 'latin1')).replaceAll('\r', '') : '';
  return `${complaints}${console.slice(-3000)}`.trim();
}

/**
 * Boots a machine and runs `command` there, in this process's folder and with its PATH. Resolves to the command's exit status,
 * TIMED_OUT, or NOT_STARTED; what the command wrote went to `stdout` and `stderr` (streams) meanwhile.
 * @param {{ command: string[], processors?: number, memoryMiB?: number, timeLimitS?: number, shares?: string[], disks?: string[],
 *   wire?: { folder: string, host: 1 | 2 }, stdout?: NodeJS.WritableStream, stderr?: NodeJS.WritableStream, signal?: AbortSignal }} options
 */
export async function runInMachine(options) {
  const settled = {
    processors: 2,
    memoryMiB: 4096,
    timeLimitS: 600,
    disks: [],
    stdout: process.stdout,
    stderr: process.stderr,
    ...options,
    shares: (options.shares ?? []).map((share) => realpathSync(share)),
  };
  const kernel = await findKernel();
  for (const accelerator of hasKvm() ? ['kvm', 'tcg'] : ['tcg']) {
    const folder = mkdtempSync(join(tmpdir(), 'ibexfs-rxe-'));
    const remove = removeAtExit(folder);
    try {
      writeOrders(folder, kernel, settled);
      await makeInitialDisk(kernel, folder);
      const { expired, complaints } = await boot(accelerator, kernel, folder, settled);
      const status = join(folder, 'status');
      if (existsSync(status)) return Number(readFileSync(status, 'utf8'));
      if (expired) return TIMED_OUT;
      const reached = existsSync(join(folder, 'started'));
      if (!reached && accelerator === 'kvm' && !settled.signal?.aborted) continue; // /dev/kvm is there and does not work
      if (!settled.signal?.aborted) settled.stderr.write(`the machine ended without a status:\n${lastWords(folder, complaints)}\n`);
      return NOT_STARTED;
    } finally {
      remove();
    }
  }
}
