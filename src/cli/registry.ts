/**
 * Every command with what the overview says of it. The file of a command is loaded only when it is asked for,
 * so that `ibex --help` and completion stay quick.
 */
import type { Command } from 'commander';

export interface CommandModule {
  /** Adds arguments, options, examples and the action. */
  define(command: Command): void;
}

export interface CommandEntry {
  /** One word, or two: `node list` stands below `node`. */
  readonly name: string;
  readonly summary: string;
  readonly group: string;
  readonly hidden?: boolean;
  load(): Promise<CommandModule>;
}

const start = 'Start:';
const look = 'Look at the cluster:';
const files = 'Files:';
const tools = 'Tools:';

/** What the first word of two-word commands stands for. */
export const groupSummaries: Readonly<Record<string, string>> = {
  node: 'the machines and daemons of the cluster',
  target: 'the folders that hold metadata and file data',
  entry: 'how a file or directory is stored',
  mirror: 'pairs of storage targets for mirrored files, which cannot be written yet',
  key: "the cluster's secret",
  rdma: 'RDMA devices of this machine',
};

export const commands: readonly CommandEntry[] = [
  { name: 'dev', group: start, summary: 'run a whole cluster with a mount on this machine', load: () => import('./commands/dev.js') },
  { name: 'mgmtd', group: start, summary: 'run the management daemon', load: () => import('./commands/mgmtd.js') },
  { name: 'meta', group: start, summary: 'run a metadata daemon', load: () => import('./commands/meta.js') },
  { name: 'storage', group: start, summary: 'run a storage daemon', load: () => import('./commands/storage.js') },
  { name: 'mount', group: start, summary: 'mount the file system', load: () => import('./commands/mount.js') },
  { name: 'umount', group: start, summary: 'unmount it', load: () => import('./commands/umount.js') },
  { name: 'status', group: look, summary: 'whether the cluster is well, at a glance', load: () => import('./commands/status.js') },
  { name: 'node list', group: look, summary: 'daemons: address, state', load: () => import('./commands/node-list.js') },
  { name: 'target list', group: look, summary: 'targets: state, capacity', load: () => import('./commands/target-list.js') },
  { name: 'mirror list', group: look, summary: 'mirror groups: roles, state', load: () => import('./commands/mirror-list.js') },
  {
    name: 'mirror create',
    group: look,
    summary: 'make a mirror group of two storage targets (no files are mirrored yet)',
    load: () => import('./commands/mirror-create.js'),
  },
  {
    name: 'mirror autocreate',
    group: look,
    summary: 'pair all storage targets that are in no group',
    load: () => import('./commands/mirror-autocreate.js'),
  },
  { name: 'mirror delete', group: look, summary: 'delete a mirror group', load: () => import('./commands/mirror-delete.js') },
  { name: 'df', group: look, summary: 'space: total, used, free', load: () => import('./commands/df.js') },
  {
    name: 'entry info',
    group: look,
    summary: 'layout of a file: which chunk lies on which target',
    load: () => import('./commands/entry-info.js'),
  },
  {
    name: 'entry set',
    group: files,
    summary: 'stripe size and count for new files of a directory',
    load: () => import('./commands/entry-set.js'),
  },
  { name: 'ls', group: files, summary: 'list a directory', load: () => import('./commands/ls.js') },
  { name: 'cp', group: files, summary: 'copy into and out of the file system', load: () => import('./commands/cp.js') },
  { name: 'cat', group: files, summary: 'write files to standard output', load: () => import('./commands/cat.js') },
  { name: 'rm', group: files, summary: 'remove files and directories', load: () => import('./commands/rm.js') },
  { name: 'mkdir', group: files, summary: 'make directories', load: () => import('./commands/mkdir.js') },
  { name: 'stat', group: files, summary: 'attributes of a file', load: () => import('./commands/stat.js') },
  { name: 'key generate', group: tools, summary: 'make a key file for a new cluster', load: () => import('./commands/key-generate.js') },
  { name: 'key token', group: tools, summary: 'bearer token for the HTTP API', load: () => import('./commands/key-token.js') },
  {
    name: 'rdma devices',
    group: tools,
    summary: 'RDMA devices: ports, addresses, limits, what is wrong',
    load: () => import('./commands/rdma-devices.js'),
  },
  { name: 'rdma bench', group: tools, summary: 'how fast RDMA is between two machines', load: () => import('./commands/rdma-bench.js') },
  {
    name: 'doctor',
    group: tools,
    summary: 'what this machine has, what it lacks, how to get it',
    load: () => import('./commands/doctor.js'),
  },
  { name: 'completion', group: tools, summary: 'completion script for bash, zsh or fish', load: () => import('./commands/completion.js') },
  { name: 'version', group: tools, summary: 'versions of ibexfs, its protocol and Node', load: () => import('./commands/version.js') },
];
