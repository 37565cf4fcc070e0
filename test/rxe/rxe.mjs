#!/usr/bin/env node
// Runs a command on a machine that has an RDMA device: `node test/rxe/rxe.mjs [flags] -- COMMAND...`. README.md explains.
import { parseArgs } from 'node:util';
import { ensureSystemPackages } from '../../scripts/setup/system-packages.mjs';
import { main } from '../../scripts/setup.mjs';
import { runInMachine } from './machine.mjs';

const usage = `node test/rxe/rxe.mjs [flags] -- COMMAND [ARGUMENT...]
  --share DIR         read-write in the machine at the same path; may be given several times
  --disk FILE         a raw image as a disk (/dev/vda, /dev/vdb, ...); may be given several times
  --wire DIR --host N one of two machines on one wire (N is 1 or 2, its address 10.78.0.N); DIR holds the wire's sockets
  --processors N      default 2
  --memory MIB        default 4096
  --time-limit S      default 600`;

const options = {
  share: { type: 'string', multiple: true, default: [] },
  disk: { type: 'string', multiple: true, default: [] },
  wire: { type: 'string' },
  host: { type: 'string' },
  processors: { type: 'string', default: '2' },
  memory: { type: 'string', default: '4096' },
  'time-limit': { type: 'string', default: '600' },
};

function read(args) {
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    const onWire = values.wire !== undefined || values.host !== undefined;
    const numbers = [values.processors, values.memory, values['time-limit']].map(Number);
    const good =
      positionals.length > 0 &&
      (!onWire || (values.wire !== undefined && /^[12]$/.test(values.host))) &&
      numbers.every((number) => number > 0);
    return good ? { values, positionals } : undefined;
  } catch (error) {
    console.error(error.message);
    return undefined;
  }
}

await main(async (args) => {
  const given = read(args);
  if (given === undefined) {
    console.error(usage);
    return 2;
  }
  const { values, positionals } = given;
  await ensureSystemPackages('rdma');
  return await runInMachine({
    command: positionals,
    shares: values.share,
    disks: values.disk,
    processors: Number(values.processors),
    memoryMiB: Number(values.memory),
    timeLimitS: Number(values['time-limit']),
    ...(values.wire !== undefined && { wire: { folder: values.wire, host: Number(values.host) } }),
  });
});
