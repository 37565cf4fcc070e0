/** What the cluster of `ibex dev` keeps from start to start: its ports and how many targets it has. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { CliError, usageError } from '../cli/exit-codes.js';

export interface DevState {
  readonly ports: Readonly<Record<PortName, number>>;
  readonly targets: number;
}

export type PortName = 'mgmtd' | 'http' | 'meta' | 'storage-1' | 'storage-2';

const defaultPorts: Readonly<Record<PortName, number>> = { mgmtd: 7410, http: 7411, meta: 7420, 'storage-1': 7430, 'storage-2': 7431 };
const DEFAULT_TARGETS = 4;
const TARGETS_MAX = 64;

export async function readState(file: string): Promise<DevState | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const value = JSON.parse(text) as Partial<DevState>;
    const ports = value.ports as Record<string, unknown> | undefined;
    const whole = Number.isInteger(value.targets) && Object.keys(defaultPorts).every((name) => Number.isInteger(ports?.[name]));
    if (whole) return value as DevState;
  } catch {
    // Said below.
  }
  throw new CliError(
    `${file} is damaged; it holds ports and the number of targets only: remove it and start again with --targets as before`,
  );
}

export async function writeState(file: string, state: DevState): Promise<void> {
  const temporary = `${file}.new`;
  await writeFile(temporary, `${JSON.stringify(state, null, 2)}\n`);
  await rename(temporary, file);
}

/** Targets can be added to a cluster, not taken away: files lie on them. Pure. */
export function targetCount(wanted: string | undefined, kept: number | undefined): number {
  if (wanted === undefined) return kept ?? DEFAULT_TARGETS;
  const count = Number(wanted);
  if (!Number.isInteger(count) || count < 1 || count > TARGETS_MAX)
    throw usageError(`--targets ${wanted}: expected a number from 1 to ${TARGETS_MAX}`);
  if (kept !== undefined && count < kept) {
    throw usageError(`--targets ${wanted}: this cluster has ${kept} targets with files on them; use another --dir for a smaller one`);
  }
  return count;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** The ports of last time, or the usual ones; where another program has one, the next that is free. */
export async function choosePorts(
  kept: DevState['ports'] | undefined,
  free: (port: number) => Promise<boolean> = isFree,
): Promise<DevState['ports']> {
  const chosen: Record<string, number> = {};
  for (const [name, usual] of Object.entries(kept ?? defaultPorts)) {
    let port = usual;
    while (Object.values(chosen).includes(port) || !(await free(port))) {
      port++;
      if (port > 65_535) throw new CliError(`no free port from ${usual} on for ${name}`);
    }
    chosen[name] = port;
  }
  return chosen as DevState['ports'];
}
