/** Where the cluster of `ibex dev` keeps everything. Pure. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** As other programs keep what belongs to a user: $XDG_DATA_HOME/ibexfs, by default ~/.local/share/ibexfs. */
export function defaultDataFolder(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const base = environment['XDG_DATA_HOME'];
  return join(base?.startsWith('/') === true ? base : join(homedir(), '.local', 'share'), 'ibexfs');
}

export interface DevFiles {
  readonly folder: string;
  readonly key: string;
  /** Ports and number of targets, kept from start to start. */
  readonly state: string;
  /** Process ids of the daemons that run now. */
  readonly processes: string;
  readonly mount: string;
  readonly configFolder: string;
  readonly logFolder: string;
  config(name: string): string;
  log(name: string): string;
  /** Folder of a daemon's data. */
  data(name: string): string;
  target(number: number): string;
}

export function devFiles(folder: string): DevFiles {
  const configFolder = join(folder, 'config');
  const logFolder = join(folder, 'logs');
  return {
    folder,
    key: join(folder, 'key'),
    state: join(folder, 'cluster.json'),
    processes: join(folder, 'processes.json'),
    mount: join(folder, 'mnt'),
    configFolder,
    logFolder,
    config: (name) => join(configFolder, `${name}.toml`),
    log: (name) => join(logFolder, `${name}.log`),
    data: (name) => join(folder, name),
    target: (number) => join(folder, `target-${number}`),
  };
}
