/**
 * A disk that keeps only what was synced, for logs of metadata targets: `powerLoss` copies a target's folder as a
 * power cut would leave it. Must be imported before anything that imports src/meta, since it takes the place of
 * fdatasync; a test imports the rest with `import()`.
 */
import fs, { cpSync, mkdirSync, readdirSync, readlinkSync, statSync, truncateSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

type Callback = (error: NodeJS.ErrnoException | null) => void;

/** Path to the bytes of it that are on disk. */
const synced = new Map<string, number>();
const realSync = fs.fdatasync;
/** Of a log file; they are synced when it is created. */
const HEADER_BYTES = 32;
let failing = false;
let gate: Promise<void> | undefined;
let openGate = (): void => undefined;
let held = 0;

fs.fdatasync = ((descriptor: number, done: Callback): void => {
  if (failing) {
    setImmediate(() => done(Object.assign(new Error('the disk broke'), { code: 'EIO' })));
    return;
  }
  const path = readlinkSync(`/proc/self/fd/${descriptor}`);
  const { size } = statSync(path);
  if (gate !== undefined) held++;
  void Promise.resolve(gate).then(() => {
    realSync(descriptor, (error) => {
      if (error === null) synced.set(path, size);
      done(error);
    });
  });
}) as typeof fs.fdatasync;
syncBuiltinESMExports();

/** From now on syncs do not end, until `releaseSyncs`. */
export function holdSyncs(): void {
  if (gate !== undefined) return;
  held = 0;
  gate = new Promise((resolve) => {
    openGate = resolve;
  });
}

/** How many have begun since `holdSyncs`, and wait. */
export function heldSyncs(): number {
  return held;
}

export function releaseSyncs(): void {
  openGate();
  gate = undefined;
}

/** From now on syncs fail, until the result is called. */
export function failSyncs(): () => void {
  failing = true;
  return () => {
    failing = false;
  };
}

/** The folder of a target as it is after the power went: log entries that no sync has covered are gone. */
export function powerLoss(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  // As in copyTarget: the log first, so that LMDB is not older than it.
  for (const name of readdirSync(from).sort().reverse()) {
    cpSync(join(from, name), join(to, name), { recursive: true });
    if (name.startsWith('log-')) truncateSync(join(to, name), synced.get(join(from, name)) ?? HEADER_BYTES);
  }
}
