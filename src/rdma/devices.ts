/** Which RDMA devices this machine has, and what is wrong with them. */
import { loadNative } from '../native.js';
import { Device } from './device.js';
import { native, RdmaError } from './errors.js';
import { lockedMemory } from './locked-memory.js';
import type { NativeAvailability, NativeDeviceInfo, NativeDeviceLimits, NativeGid, NativeLiveObjects, NativePort } from './native.js';

/**
 * Whether RDMA can be used here. `state` is `'noLibrary'` (libibverbs is not installed), `'noDevice'`, or `'usable'`;
 * `reason` says what was found or is missing, `cure` what an administrator can do (empty when usable).
 */
export type Availability = NativeAvailability;

/** An address of a port. `type` is `'RoCE v2'`, `'RoCE v1'` or `'InfiniBand'`, `interface` the network interface. */
export type GidInfo = NativeGid;

/** A port: numbers count from 1, `mtuBytes` is the one in force, `speedMbps` is 0 when unknown. */
export interface PortInfo extends NativePort {
  /** Used entries of its address table. */
  readonly gids: readonly GidInfo[];
  /** Why it cannot carry traffic now; absent when it can. */
  readonly problem?: string;
}

/** What the device allows. Asked of it, never assumed. Counts and bytes. */
export type DeviceLimits = NativeDeviceLimits;

/** What {@link devices} tells of a device. */
export interface DeviceInfo {
  /** `'mlx5_0'`, `'rxe0'`. */
  readonly name: string;
  /** The kernel's driver; `'rxe'` for soft-RoCE. */
  readonly driver: string;
  /** 16 hexadecimal digits. */
  readonly guid: string;
  /** RDMA done by the kernel in software. */
  readonly softRoce: boolean;
  /** Absent when the device could not be opened. */
  readonly limits?: DeviceLimits;
  readonly ports: readonly PortInfo[];
  /** What keeps it from being used, or will: in words, with what helps. Empty when all is well. */
  readonly problems: readonly string[];
}

/** Every device, and why there are none or none that can be used. */
export interface DeviceReport {
  readonly availability: Availability;
  readonly devices: readonly DeviceInfo[];
  /** Problems of the machine rather than of one device: the limit on locked memory. */
  readonly problems: readonly string[];
}

function memoryLockProblem(): string | undefined {
  const { limitBytes, enough } = lockedMemory();
  if (enough) return undefined;
  return `this process may lock ${Math.floor(limitBytes / 1024)} KiB of memory, and RDMA locks its buffers: raise the limit (ulimit -l unlimited; LimitMEMLOCK=infinity in a systemd unit)`;
}

function describePort(device: Device, number: number): PortInfo {
  const port = device.port(number);
  const problem = device.portProblem(number);
  return { ...port, gids: device.gids(number), ...(problem === undefined ? {} : { problem }) };
}

function describeDevice(info: NativeDeviceInfo): DeviceInfo {
  const { name, driver, guid, softRoce } = info;
  const base = { name, driver, guid, softRoce };
  try {
    using device = new Device(info.name);
    const ports = Array.from({ length: device.limits.ports }, (_, index) => describePort(device, index + 1));
    const problems = ports.flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
    return { ...base, limits: device.limits, ports, problems };
  } catch (error) {
    if (!(error instanceof RdmaError)) throw error;
    return { ...base, ports: [], problems: [error.message] };
  }
}

/** Whether this machine can use RDMA, and if not, why and what helps. Never throws for lack of a library or device. */
export function availability(): Availability {
  return loadNative().rdma.availability();
}

/**
 * All RDMA devices with their ports, addresses, limits and problems. On a machine without any, `devices` is empty and
 * `availability` says why.
 *
 * @throws RdmaError ERR_RDMA_VERB when the kernel refuses to list them
 */
export function devices(): DeviceReport {
  const { rdma } = loadNative();
  const state = rdma.availability();
  const found = state.state === 'noLibrary' ? [] : native(() => rdma.devices());
  const memlock = found.length > 0 ? memoryLockProblem() : undefined;
  return { availability: state, devices: found.map(describeDevice), problems: memlock === undefined ? [] : [memlock] };
}

/**
 * Opens a device by name, or without one the first that has a usable port.
 *
 * @throws RdmaError ERR_RDMA_UNAVAILABLE with the reason and the cure, ERR_RDMA_VERB
 */
export function openDevice(name?: string): Device {
  const state = availability();
  if (state.state === 'noLibrary') throw unavailable(state);
  if (name !== undefined) return new Device(name);
  if (state.state === 'noDevice') throw unavailable(state);
  const report = devices();
  const usable = report.devices.find(({ ports }) => ports.some(({ problem }) => problem === undefined));
  if (usable !== undefined) return new Device(usable.name);
  const problems = report.devices.flatMap((device) => device.problems);
  throw new RdmaError('ERR_RDMA_UNAVAILABLE', `no RDMA device has a usable port: ${problems.join('; ')}`);
}

function unavailable({ reason, cure }: Availability): RdmaError {
  return new RdmaError('ERR_RDMA_UNAVAILABLE', cure === '' ? reason : `${reason}; ${cure}`);
}

/** How many objects of each kind exist in this process now (all threads), as native code counts them. */
export type LiveObjects = NativeLiveObjects;

/** For tests and monitoring: what was made and not let go. `registrations` and `leaks` only ever rise. */
export function liveObjects(): LiveObjects {
  return loadNative().rdma.liveObjects();
}
