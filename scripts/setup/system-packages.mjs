// System packages: which are missing for a level of the set-up, and how to get them.
// Looks only at files, so that asking costs milliseconds.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { progress, runOnTerminal, SetupError } from './process.mjs';

const searchPath = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin'];

export function hasProgram(name) {
  return searchPath.some((folder) => folder !== '' && existsSync(join(folder, name)));
}

const program = (name) => () => hasProgram(name);
const file =
  (...paths) =>
  () =>
    paths.some((path) => existsSync(path));

/** Debian package, how to see that it (or an equal) is there, what for. */
const packages = {
  run: [
    ['g++', program('g++'), 'compiles the native part'],
    ['make', program('make'), 'builds the native part'],
    ['python3', program('python3'), 'node-gyp needs it'],
    ['fuse3', program('fusermount3'), 'mounts as a user'],
  ],
  test: [
    ['cmake', program('cmake'), 'native tests'],
    ['ninja-build', program('ninja'), 'native tests'],
    ['doctest-dev', file('/usr/include/doctest/doctest.h', '/usr/local/include/doctest/doctest.h'), 'native tests'],
    ['libibverbs-dev', file('/usr/include/infiniband/verbs.h'), 'native tests: compares our declaration of its interface'],
    ['clang-format', program('clang-format'), 'npm run lint'],
    ['clang-tidy', program('clang-tidy'), 'npm run lint'],
    ['cppcheck', program('cppcheck'), 'npm run lint'],
    ['fio', program('fio'), 'tests of the mount'],
    ['sqlite3', program('sqlite3'), 'tests of the mount'],
    ['git', program('git'), 'tests of the mount'],
    ['attr', program('getfattr'), 'tests of the mount'],
    ['strace', program('strace'), 'tests of system calls'],
    ['iproute2', program('ip'), 'tests of the network'],
    ['procps', program('ps'), 'tests of the daemons'],
  ],
  bench: [
    ['iperf3', program('iperf3'), 'limit of a plain TCP stream'],
    ['redis-server', program('redis-server'), 'limit of a key-value server'],
    ['redis-tools', program('redis-benchmark'), 'limit of a key-value server'],
    ['libfuse3-dev', file('/usr/include/fuse3/fuse_lowlevel.h'), 'builds the pass-through file system'],
    ['pkg-config', program('pkg-config'), 'builds the pass-through file system'],
  ],
  rdma: [
    ['qemu-system-x86', program('qemu-system-x86_64'), 'the machine with an RDMA device'],
    ['busybox-static', program('busybox'), 'starts that machine'],
    ['cpio', program('cpio'), 'starts that machine'],
    ['kmod', program('modprobe'), 'loads its kernel modules'],
    ['iproute2', program('rdma'), 'makes its RDMA device'],
    [
      'ibverbs-providers',
      file('/usr/lib/x86_64-linux-gnu/libibverbs/librxe-rdmav34.so', '/etc/libibverbs.d/rxe.driver'),
      'libibverbs and its soft-RoCE driver',
    ],
    ['ibverbs-utils', program('ibv_devinfo'), 'tests of the RDMA device'],
    ['perftest', program('ib_write_bw'), 'limits of the RDMA device'],
  ],
};

/** What each level of the set-up consists of; 'rdma' is what the machine of test/rxe needs, whoever boots it. */
const levels = { run: ['run'], test: ['run', 'test'], bench: ['run', 'test', 'bench'], rdma: ['rdma'] };

export function missingPackages(level) {
  return levels[level]
    .flatMap((name) => packages[name].map(([debian, present, purpose]) => ({ debian, present, purpose, level: name })))
    .filter(({ present }) => !present())
    .map(({ debian, purpose, level: needed }) => ({ debian, purpose, level: needed }));
}

async function aptInstall(names) {
  const apt = ['apt-get', '-qq', '-o', 'Dpkg::Use-Pty=0', '-o', 'DPkg::Lock::Timeout=120'];
  const prefix = process.getuid() === 0 ? [] : ['sudo'];
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const call = ([command, ...args]) => runOnTerminal(command, args, { env });
  await call([...prefix, ...apt, 'update']);
  await call([...prefix, ...apt, 'install', '-y', '--no-install-recommends', ...names]);
}

/** Installs what `level` needs. What is missing for running or for the machine is an error; what only tests or benchmarks need is said. */
export async function ensureSystemPackages(level) {
  let missing = missingPackages(level);
  if (missing.length === 0) return;
  const canApt = hasProgram('apt-get') && (process.getuid() === 0 || hasProgram('sudo'));
  if (canApt) {
    const names = missing.map(({ debian }) => debian);
    progress(`installing system packages: ${names.join(' ')}`);
    await aptInstall(names);
    missing = missingPackages(level);
  }
  if (missing.length === 0) return;
  const list = missing.map(({ debian, purpose }) => `  - ${debian} (${purpose})`).join('\n');
  const advice = hasProgram('apt-get')
    ? `install them with: sudo apt-get install ${missing.map(({ debian }) => debian).join(' ')}`
    : "install them with this system's package manager (the names are Debian's), then run this again";
  const text = `this machine lacks:\n${list}\n${advice}`;
  const withoutIt = ({ level: needed, debian }) => needed === 'test' || needed === 'bench' || debian === 'fuse3';
  if (!missing.every(withoutIt)) throw new SetupError(text);
  console.warn(text);
}
