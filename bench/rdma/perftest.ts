/** Debian's perftest between two processes on the RDMA device of this machine: the limits of what ibexfs does over it. */
import { DEVICE, GID_INDEX } from '../../test/rdma/device.js';
import { runPair } from '../../test/rdma/pair.js';

const PORT = 18_520;

const ATTEMPTS = 3;

/** The columns of its table's one line: size in bytes, iterations, then its figures. */
async function columns(program: string, sizeBytes: number, iterations: number, more: readonly string[]): Promise<number[]> {
  const size = ['-s', String(sizeBytes), '-n', String(iterations)];
  let output = '';
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    output = await runPair(program, ['-d', DEVICE, '-x', GID_INDEX, '-F', ...size, ...more], PORT);
    const line = output.split('\n').find((text) => text.trim().startsWith(`${sizeBytes} `)) ?? '';
    const numbers = line.trim().split(/\s+/).map(Number);
    // It measures the clock of the processor first, and has no figures when it was disturbed in that.
    if (numbers.length > 2 && numbers.every((number) => Number.isFinite(number) && number > 0)) return numbers;
  }
  throw new Error(`${program} printed no figures:\n${output}`);
}

export interface Bandwidth {
  readonly program: 'ib_write_bw' | 'ib_read_bw';
  readonly sizeBytes: number;
  readonly depth: number;
  readonly iterations: number;
}

/** MiB/s, the average. */
export async function bandwidth({ program, sizeBytes, depth, iterations }: Bandwidth): Promise<number> {
  const [, , , average = Number.NaN] = await columns(program, sizeBytes, iterations, ['-t', String(depth)]);
  return average;
}

export interface Latency {
  readonly program: 'ib_write_lat' | 'ib_send_lat' | 'ib_read_lat';
  readonly sizeBytes: number;
  readonly iterations: number;
}

/** Microseconds, the median: half a round trip for writes and sends, a whole one for reads. */
export async function latency({ program, sizeBytes, iterations }: Latency): Promise<number> {
  const [, , , , typical = Number.NaN] = await columns(program, sizeBytes, iterations, []);
  return typical;
}
