/** The ceiling that FUSE sets: libfuse's own passthrough_ll over a local folder, built from the example that libfuse3-dev ships. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { run } from '../test/cluster/cluster.js';

const EXAMPLES = '/usr/share/doc/libfuse3-dev/examples';

export class PassThrough {
  readonly store: string;
  readonly path: string;
  readonly #program: string;
  #pid: number | undefined;

  constructor(folder: string) {
    this.store = join(folder, 'passthrough-store');
    this.path = join(folder, 'passthrough');
    this.#program = join(folder, 'passthrough_ll');
  }

  async start(): Promise<void> {
    if (!existsSync(this.#program)) await this.#build();
    await mkdir(this.store, { recursive: true });
    await mkdir(this.path, { recursive: true });
    const child = spawn(this.#program, ['-f', '-o', `source=${this.store}`, this.path], { stdio: 'ignore' });
    this.#pid = child.pid;
    for (let tries = 0; !(await this.#mounted()); tries++) {
      if (tries > 500 || child.exitCode !== null) throw new Error('passthrough_ll does not mount');
      await pause(10);
    }
  }

  async stop(): Promise<void> {
    if (await this.#mounted()) await run('fusermount3', ['-u', this.path]);
    this.#pid = undefined;
  }

  async remount(): Promise<void> {
    await this.stop();
    await pause(100);
    await this.start();
  }

  get pid(): number | undefined {
    return this.#pid;
  }

  async #mounted(): Promise<boolean> {
    return (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${this.path} `);
  }

  async #build(): Promise<void> {
    const flags = (await run('pkg-config', ['--cflags', '--libs', 'fuse3'])).stdout.trim().split(/\s+/);
    const built = await run('cc', ['-O2', `-I${EXAMPLES}`, '-o', this.#program, join(EXAMPLES, 'passthrough_ll.c'), ...flags]);
    if (built.code !== 0)
      throw new Error(`passthrough_ll cannot be built (Debian: apt-get install libfuse3-dev pkg-config): ${built.stderr}`);
  }
}
