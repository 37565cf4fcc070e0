/**
 * Which program reads which sections, and the types of what it gets: `config.heartbeat.intervalMs` is the key
 * `interval` of `[heartbeat]`. Rules between keys are here too.
 */
import type { ConfigKey } from './key.js';
import * as sections from './sections.js';

export const configKinds = {
  mgmtd: {
    cluster: sections.clusterOfMgmtd,
    listen: sections.listenOf(7410),
    mgmtd: sections.mgmtd,
    heartbeat: sections.heartbeat,
    http: sections.http,
    rdma: sections.rdma,
    log: sections.log,
  },
  meta: { cluster: sections.cluster, listen: sections.listenOf(7420), meta: sections.meta, rdma: sections.rdma, log: sections.log },
  storage: {
    cluster: sections.cluster,
    listen: sections.listenOf(7430),
    storage: sections.storage,
    rdma: sections.rdma,
    log: sections.log,
  },
  client: { cluster: sections.cluster, client: sections.client, mount: sections.mount, rdma: sections.rdma, log: sections.log },
} as const satisfies Record<string, SectionTable>;

export type SectionTable = Readonly<Record<string, Readonly<Record<string, ConfigKey>>>>;
export type ConfigKind = keyof typeof configKinds;

type Camel<Name extends string> = Name extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : Name;
type SectionOf<Keys> = {
  readonly [Name in keyof Keys & string as Keys[Name] extends ConfigKey<unknown, infer Suffix>
    ? `${Camel<Name>}${Suffix}`
    : never]: Keys[Name] extends ConfigKey<infer Result, string> ? Result : never;
};
export type ConfigOf<Kind extends ConfigKind> = {
  readonly [Name in keyof (typeof configKinds)[Kind]]: SectionOf<(typeof configKinds)[Kind][Name]>;
};

export type MgmtdConfig = ConfigOf<'mgmtd'>;
export type MetaConfig = ConfigOf<'meta'>;
export type StorageConfig = ConfigOf<'storage'>;
export type ClientConfig = ConfigOf<'client'>;

/** Property of the result for a key of the file. */
export function propertyName(name: string, key: ConfigKey): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) + key.suffix;
}

export function environmentName(section: string, name: string): string {
  return `IBEX_${section}_${name}`.toUpperCase();
}

/** A rule that needs several keys; `key` is the one to point at. */
interface Rule<Config> {
  readonly key: string;
  broken(config: Config): string | undefined;
}

const mgmtdRules: readonly Rule<MgmtdConfig>[] = [
  {
    key: 'heartbeat.probably_offline_after',
    broken: ({ heartbeat }) =>
      heartbeat.probablyOfflineAfterMs < 2 * heartbeat.intervalMs
        ? 'expected at least twice heartbeat.interval, or one late report makes a node probably offline'
        : undefined,
  },
  {
    key: 'heartbeat.offline_after',
    broken: ({ heartbeat }) =>
      heartbeat.offlineAfterMs <= Math.max(heartbeat.probablyOfflineAfterMs, heartbeat.lostSessionAfterMs)
        ? 'expected more than heartbeat.probably_offline_after and heartbeat.lost_session_after'
        : undefined,
  },
];

export const configRules: { readonly [Kind in ConfigKind]: readonly Rule<ConfigOf<Kind>>[] } = {
  mgmtd: mgmtdRules,
  meta: [],
  storage: [],
  client: [],
};
