/** Checks of this machine: Node, idle processors, memory that may be locked, FUSE. Each returns one finding. */
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { lockedMemory } from '../../rdma/locked-memory.js';
import { formatBytes } from '../output/format.js';
import type { Finding } from './finding.js';

const NODE_MAJOR_MIN = 20;

export function findProgram(name: string): string | undefined {
  return [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin']
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
}

export function checkNode(): Finding {
  const name = 'node';
  if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN) return { name, state: 'ok', detail: process.version };
  return {
    name,
    state: 'wrong',
    detail: process.version,
    advice: `ibexfs needs Node ${NODE_MAJOR_MIN} or newer: https://nodejs.org/en/download`,
  };
}

export function checkFuseDevice(): Finding {
  const name = '/dev/fuse';
  const needed = 'Needed to mount; the ibex command and the Node library work without it.';
  if (!existsSync(name)) {
    return {
      name,
      state: 'missing',
      detail: 'not there',
      advice: `${needed} Load it with modprobe fuse; in a container use --device /dev/fuse --cap-add SYS_ADMIN.`,
    };
  }
  try {
    accessSync(name, constants.R_OK | constants.W_OK);
  } catch {
    const mode = (statSync(name).mode & 0o777).toString(8);
    return {
      name,
      state: 'missing',
      detail: `mode ${mode}: not for user ${process.getuid?.()}`,
      advice: `${needed} As root: chmod 666 /dev/fuse, which udev's fuse rule does on most systems.`,
    };
  }
  return { name, state: 'ok', detail: 'can be opened' };
}

export function checkFusermount(): Finding {
  const name = 'fusermount3';
  const found = findProgram(name);
  if (found === undefined) {
    const root = process.getuid?.() === 0;
    const advice = 'Lets users other than root mount. Debian, Ubuntu: apt-get install fuse3; Fedora, RHEL: dnf install fuse3.';
    return { name, state: root ? 'note' : 'missing', detail: root ? 'not there; root mounts without it' : 'not there', advice };
  }
  const setuid = (statSync(found).mode & 0o4000) !== 0;
  if (setuid || process.getuid?.() === 0) return { name, state: 'ok', detail: found };
  return {
    name,
    state: 'missing',
    detail: `${found} is not setuid root`,
    advice: `Users cannot mount with it. As root: chmod u+s ${found}`,
  };
}

export function checkLockedMemory(): Finding {
  const { limitBytes, enough } = lockedMemory();
  const name = 'locked memory';
  const detail = limitBytes === Number.POSITIVE_INFINITY ? 'unlimited' : formatBytes(limitBytes);
  if (enough) return { name, state: 'ok', detail };
  const advice =
    'RDMA pins its buffers. In /etc/security/limits.d/ibexfs.conf: "* - memlock unlimited"; in a systemd unit: LimitMEMLOCK=infinity. TCP does not need it.';
  return { name, state: 'note', detail, advice };
}

/** Only where the kernel has that driver, and so in virtual machines alone. */
const HALT_POLL_FILE = '/sys/module/haltpoll/parameters/guest_halt_poll_ns';

export function checkIdleProcessors(): Finding {
  const name = 'idle processors';
  if (!existsSync(HALT_POLL_FILE)) return { name, state: 'ok', detail: 'as the kernel does it' };
  const pollNs = Number(readFileSync(HALT_POLL_FILE, 'utf8'));
  if (pollNs > 0) return { name, state: 'ok', detail: `poll for ${pollNs / 1000} us before they halt` };
  const advice = `Waking one up takes tens of microseconds, and an operation on a small file does that several times. As root: echo 200000 > ${HALT_POLL_FILE} lets them look for work for 200 us first; creating small files became about 1.4 times as fast with it.`;
  return { name, state: 'note', detail: 'halt at once in this virtual machine', advice };
}
