// What all examples begin with: a device, a completion queue, a protection domain, and the key that both ends must know.
import { openDevice } from 'ibexfs/rdma';

export function setUp() {
  const [, program, role, ...rest] = process.argv;
  const keyFile = process.env.KEY_FILE;
  if (!['listen', 'connect'].includes(role) || keyFile === undefined) {
    console.error(`KEY_FILE=key node ${program} listen [PORT] | connect HOST [PORT]\nmake the key with: ibex key generate key`);
    process.exit(2);
  }
  const device = openDevice();
  const domain = device.createProtectionDomain();
  const completionQueue = device.createCompletionQueue();
  const [host, port] = role === 'listen' ? ['0.0.0.0', rest[0]] : [rest[0], rest[1]];
  return { role, rest, device, domain, completionQueue, address: { host, port: Number(port ?? 7431), keyFile, domain, completionQueue } };
}
