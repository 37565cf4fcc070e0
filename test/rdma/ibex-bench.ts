/** `ibex rdma bench` between two processes on this machine. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ibex } from '../cluster/cluster.js';
import { DEVICE_ADDRESS } from './device.js';
import { startServer } from './pair.js';

const PORT = 18_530;

export interface IbexRun {
  readonly operation: 'write' | 'read' | 'send';
  readonly sizeBytes: number;
  readonly depth: number;
  readonly iterations: number;
}

export interface IbexFigures {
  readonly operation: string;
  readonly bytes: number;
  readonly iterations: number;
  readonly seconds: number;
  readonly mebibytesPerSecond: number;
  readonly messagesPerSecond: number;
  readonly latencyUs: Readonly<Record<'min' | 'p50' | 'p90' | 'p99' | 'p999' | 'max', number>>;
}

/** The listening end; it serves any number of runs. */
export class IbexBench {
  readonly #keyFile: string;
  readonly #stop: () => Promise<number | string>;
  #stopped: Promise<number | string> | undefined;

  private constructor(keyFile: string, stop: () => Promise<number | string>) {
    this.#keyFile = keyFile;
    this.#stop = stop;
  }

  static async start(): Promise<IbexBench> {
    const folder = await mkdtemp(join(tmpdir(), 'ibexfs-bench-'));
    const keyFile = join(folder, 'key');
    const { code, stderr } = await ibex(['key', 'generate', keyFile]);
    if (code !== 0) throw new Error(`ibex key generate: ${stderr}`);
    const program = fileURLToPath(new URL('../../../bin/ibex.mjs', import.meta.url));
    const args = [program, 'rdma', 'bench', '--listen', '--port', String(PORT), '--key-file', keyFile];
    const server = await startServer(process.execPath, args, PORT, 0);
    return new IbexBench(keyFile, async () => {
      server.interrupt();
      const status = await server.ended();
      await rm(folder, { recursive: true });
      return status;
    });
  }

  async run({ operation, sizeBytes, depth, iterations }: IbexRun): Promise<IbexFigures> {
    const shape = ['--op', operation, '--size', String(sizeBytes), '--depth', String(depth), '--iterations', String(iterations)];
    const connection = ['--port', String(PORT), '--key-file', this.#keyFile];
    const { code, stdout, stderr } = await ibex(['rdma', 'bench', DEVICE_ADDRESS, ...shape, ...connection, '--output', 'json']);
    if (code !== 0) throw new Error(`ibex rdma bench: ${code}\n${stdout}${stderr}`);
    return JSON.parse(stdout) as IbexFigures;
  }

  /** As Ctrl-C does; gives its exit status. Stopping twice is fine. */
  stop(): Promise<number | string> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }
}
