/**
 * Who a node is (node.json in its data folder) and what a target folder is (target.json in it). Both outlive
 * restarts and guard against a disk that is missing, foreign or cloned.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import type { TargetKind } from '../wire/cluster-map.js';
import type { TargetId } from '../wire/fid.js';
import { LOCK_FILE, writeFileAtomic } from './folder.js';
import { explainFileError, StartupError } from './startup-error.js';

const FORMAT = 1;
export const NODE_FILE = 'node.json';
export const TARGET_FILE = 'target.json';

const kind = Type.Union([Type.Literal('meta'), Type.Literal('storage')]);

const NodeIdentity = Type.Object({
  format: Type.Literal(FORMAT),
  uuid: Type.String({ pattern: '^[0-9a-f-]{36}$' }),
  kind,
  /** The target that was last in use in each folder: a folder that lost it is a disk that is not mounted. */
  targets: Type.Record(Type.String(), Type.Integer({ minimum: 1, maximum: 0xffffffff })),
});
export type NodeIdentity = Static<typeof NodeIdentity>;

const TargetIdentity = Type.Object({
  format: Type.Literal(FORMAT),
  kind,
  /** Made here before the first registration, so that one that was cut short finds its target again. */
  token: Type.String({ pattern: '^[0-9a-f]{32}$' }),
  /** Absent until mgmtd has given an id. */
  target: Type.Optional(Type.Unsafe<TargetId>(Type.Integer({ minimum: 1, maximum: 0xffffffff }))),
  clusterId: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
});
export type TargetIdentity = Static<typeof TargetIdentity>;

const damaged = (path: string): StartupError =>
  new StartupError(
    'ERR_INVALID',
    `identity file ${path} is damaged; restore it from a backup, or move the folder's content away to start empty`,
  );

async function read(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw explainFileError(error, `identity file ${path}`);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw damaged(path);
  }
}

async function write(path: string, identity: object): Promise<void> {
  try {
    await writeFileAtomic(path, `${JSON.stringify(identity, null, 2)}\n`);
  } catch (error) {
    throw explainFileError(error, `identity file ${path}`);
  }
}

/** Reads node.json, or makes the node's identity on first use. */
export async function openNodeIdentity(folder: string, daemonKind: TargetKind): Promise<NodeIdentity> {
  const path = join(folder, NODE_FILE);
  const found = await read(path);
  if (found === undefined) {
    const identity: NodeIdentity = { format: FORMAT, uuid: randomUUID(), kind: daemonKind, targets: {} };
    await write(path, identity);
    return identity;
  }
  if (!Value.Check(NodeIdentity, found)) throw damaged(path);
  if (found.kind !== daemonKind) {
    throw new StartupError(
      'ERR_INVALID',
      `data folder ${folder} belongs to a ${found.kind} daemon; configure another one for ${daemonKind}`,
    );
  }
  return found;
}

export function saveNodeIdentity(folder: string, identity: NodeIdentity): Promise<void> {
  return write(join(folder, NODE_FILE), identity);
}

export interface TargetFolder {
  readonly folder: string;
  readonly kind: TargetKind;
  /** The target that this node last had here. */
  readonly lastTarget?: number | undefined;
  /** Where node.json is, for the message about a lost disk. */
  readonly nodeFolder: string;
}

/**
 * Reads target.json, or makes a new target's identity in an empty folder.
 *
 * @throws StartupError when the folder is not what it was, or holds something else
 */
export async function openTargetIdentity(target: TargetFolder): Promise<TargetIdentity> {
  const { folder, lastTarget } = target;
  const path = join(folder, TARGET_FILE);
  const found = await read(path);
  if (found !== undefined) {
    if (!Value.Check(TargetIdentity, found)) throw damaged(path);
    if (found.kind !== target.kind)
      throw new StartupError(
        'ERR_WRONG_DISK',
        `target folder ${folder} holds a ${found.kind} target; configure it for a ${found.kind} daemon`,
      );
    return found;
  }
  const nodeFile = join(target.nodeFolder, NODE_FILE);
  if (lastTarget !== undefined) {
    throw new StartupError(
      'ERR_WRONG_DISK',
      `target folder ${folder} held target ${lastTarget} and is now without ${TARGET_FILE}; mount the right disk there, or, to begin with an empty target, remove the folder from ${nodeFile}`,
    );
  }
  const allowed = new Set(['lost+found', NODE_FILE, LOCK_FILE]);
  const foreign = (await readdir(folder)).find((name) => !allowed.has(name) && !name.endsWith('.tmp'));
  if (foreign !== undefined) {
    throw new StartupError(
      'ERR_WRONG_DISK',
      `target folder ${folder} holds other files (${foreign}) but no ${TARGET_FILE}; configure an empty folder`,
    );
  }
  const identity: TargetIdentity = { format: FORMAT, kind: target.kind, token: randomBytes(16).toString('hex') };
  await write(path, identity);
  return identity;
}

export function saveTargetIdentity(folder: string, identity: TargetIdentity): Promise<void> {
  return write(join(folder, TARGET_FILE), identity);
}
