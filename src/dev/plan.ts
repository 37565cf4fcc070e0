/** Which daemons make up the cluster, and their configuration files. Pure. */
import type { DevFiles } from './files.js';
import type { DevState } from './state.js';

export interface DaemonPlan {
  readonly name: string;
  readonly kind: 'mgmtd' | 'meta' | 'storage';
  /** TOML. */
  readonly config: string;
}

const STORAGE_DAEMONS = 2;

type Sections = Readonly<Record<string, Readonly<Record<string, string | number | readonly string[]>>>>;

/** JSON's strings, numbers and lists are TOML's too. */
function toml(sections: Sections): string {
  const lines = ['# Written by `ibex dev` at every start: changes here are lost.'];
  for (const [section, keys] of Object.entries(sections)) {
    lines.push('', `[${section}]`, ...Object.entries(keys).map(([key, value]) => `${key} = ${JSON.stringify(value)}`));
  }
  return `${lines.join('\n')}\n`;
}

/** Target n belongs to daemon (n - 1) % 2, whatever their number, so that added targets move none. */
function targetsOf(daemon: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1).filter((target) => (target - 1) % STORAGE_DAEMONS === daemon - 1);
}

export function planDaemons(files: DevFiles, { ports, targets }: DevState): DaemonPlan[] {
  const member = { key_file: files.key, mgmtd: [`127.0.0.1:${ports.mgmtd}`] };
  const plans: DaemonPlan[] = [
    {
      name: 'mgmtd',
      kind: 'mgmtd',
      config: toml({
        cluster: { key_file: files.key },
        listen: { port: ports.mgmtd },
        mgmtd: { data: files.data('mgmtd') },
        http: { port: ports.http },
      }),
    },
    { name: 'meta', kind: 'meta', config: toml({ cluster: member, listen: { port: ports.meta }, meta: { data: files.data('meta') } }) },
  ];
  for (let daemon = 1; daemon <= STORAGE_DAEMONS; daemon++) {
    const own = targetsOf(daemon, targets);
    if (own.length === 0) continue;
    const name = `storage-${daemon}` as 'storage-1' | 'storage-2';
    const storage = { data: files.data(name), alias: name, targets: own.map((target) => files.target(target)) };
    plans.push({ name, kind: 'storage', config: toml({ cluster: member, listen: { port: ports[name] }, storage }) });
  }
  return plans;
}

/** For the mount and for every `ibex` command. */
export function clientConfig(files: DevFiles, { ports }: DevState): string {
  return toml({ cluster: { key_file: files.key, mgmtd: [`127.0.0.1:${ports.mgmtd}`] } });
}
