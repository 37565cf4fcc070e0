/**
 * mgmtd's memory in LMDB. Each change is one transaction that is on disk before `save` returns; only what
 * differs is written. It stores and reads, and decides nothing.
 */
import { randomUUID } from 'node:crypto';
import { open, type RootDatabase } from 'lmdb';
import Type, { type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { explainFileError, StartupError } from '../daemon/startup-error.js';
import { diffMaps, type GroupRecord, type NodeEntry, type SequenceRange, type TargetEntry } from '../wire/cluster-map.js';
import type { NodeId, TargetId } from '../wire/fid.js';
import { emptyState, type MgmtState } from './state.js';

const FORMAT = 1;

const id = Type.Integer({ minimum: 1, maximum: 0xffffffff });
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const reachability = Type.Enum(['online', 'probably-offline', 'offline']);
const consistency = Type.Enum(['good', 'needs-resync', 'bad']);
const address = Type.Object({ host: Type.String(), port: Type.Integer({ minimum: 1, maximum: 65535 }) });

const ClusterRecord = Type.Object({
  format: Type.Literal(FORMAT),
  clusterId: Type.String({ minLength: 1 }),
  version: Type.Integer({ minimum: 1 }),
  pools: Type.Array(Type.Object({ name: Type.String() })),
  rootTarget: Type.Union([Type.Unsafe<TargetId>(id), Type.Null()]),
  nextNode: id,
  nextTarget: id,
  /** Absent in databases of before there were groups. */
  nextGroup: Type.Optional(id),
  nextSequence: count,
});
const NodeRecord = Type.Object({
  uuid: Type.String(),
  entry: Type.Unsafe<NodeEntry>(
    Type.Object({
      id,
      kind: Type.Enum(['mgmtd', 'meta', 'storage']),
      alias: Type.String(),
      addresses: Type.Array(address),
      reachability,
    }),
  ),
});
const TargetRecord = Type.Object({
  token: Type.String(),
  entry: Type.Unsafe<TargetEntry>(
    Type.Object({
      id,
      kind: Type.Enum(['meta', 'storage']),
      node: id,
      alias: Type.String(),
      pool: Type.String(),
      reachability,
      consistency,
      since: Type.Integer({ minimum: 1 }),
      bytesTotal: count,
      bytesFree: count,
      inodesTotal: count,
      inodesFree: count,
    }),
  ),
});
const start = Type.Integer({ minimum: 0, maximum: 0xffffffff });
const member = Type.Object({ target: id, start, consistency });
const MirrorGroupRecord = Type.Unsafe<GroupRecord>(
  Type.Object({
    id,
    alias: Type.String(),
    epoch: Type.Integer({ minimum: 1 }),
    primary: member,
    secondary: member,
    lingering: Type.Array(Type.Object({ target: id, start })),
  }),
);
const SequenceRecord = Type.Unsafe<SequenceRange>(Type.Object({ first: count, last: count, target: id }));

/** Keys: 'cluster', ['node', id], ['target', id], ['group', id], ['sequence', first]. */
type Key = string | [string, number];

export class MgmtStore {
  readonly #database: RootDatabase<unknown, Key>;

  private constructor(database: RootDatabase<unknown, Key>) {
    this.#database = database;
  }

  /** @throws StartupError when the folder or its content is not usable */
  static open(folder: string): { store: MgmtStore; state: MgmtState } {
    const path = `${folder}/map`;
    let database: RootDatabase<unknown, Key>;
    try {
      // Without overlappingSync a transaction has been flushed to disk when it returns.
      database = open<unknown, Key>({ path, overlappingSync: false, encoding: 'msgpack' });
    } catch (error) {
      throw explainFileError(error, `database ${path}`);
    }
    const store = new MgmtStore(database);
    try {
      const state = store.#read(path);
      return { store, state: state ?? store.#create() };
    } catch (error) {
      void database.close();
      throw error;
    }
  }

  /** Writes what `after` has and `before` had not; on disk when it returns. */
  save(before: MgmtState, after: MgmtState): void {
    const change = diffMaps(before.map, after.map);
    this.#database.transactionSync(() => {
      this.#putCluster(after);
      for (const entry of change.nodes) this.#put(['node', entry.id], { uuid: after.uuids.get(entry.id), entry });
      for (const entry of change.targets) this.#put(['target', entry.id], { token: after.tokens.get(entry.id), entry });
      for (const group of change.groups) this.#put(['group', group.id], group);
      for (const range of change.sequences) this.#put(['sequence', range.first], range);
      for (const node of change.removed.nodes) this.#database.removeSync(['node', node]);
      for (const target of change.removed.targets) this.#database.removeSync(['target', target]);
      for (const group of change.removed.groups) this.#database.removeSync(['group', group]);
      for (const first of change.removed.sequences) this.#database.removeSync(['sequence', first]);
    });
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  #put(key: Key, value: unknown): void {
    this.#database.putSync(key, value);
  }

  #putCluster(state: MgmtState): void {
    const { clusterId, version, pools, rootTarget } = state.map;
    const { nextNode, nextTarget, nextGroup, nextSequence } = state;
    this.#put('cluster', {
      format: FORMAT,
      clusterId,
      version,
      pools: [...pools],
      rootTarget: rootTarget ?? null,
      nextNode,
      nextTarget,
      nextGroup,
      nextSequence,
    } satisfies Static<typeof ClusterRecord>);
  }

  #create(): MgmtState {
    const state = emptyState(randomUUID());
    this.#database.transactionSync(() => this.#putCluster(state));
    return state;
  }

  #read(path: string): MgmtState | undefined {
    const cluster: unknown = this.#database.get('cluster');
    if (cluster === undefined) {
      if (this.#database.getKeysCount() > 0) throw damaged(path, 'the cluster record is missing');
      return undefined;
    }
    const { format } = cluster as { format?: unknown };
    if (format !== FORMAT)
      throw new StartupError(
        'ERR_INVALID',
        `database ${path} has format ${String(format)}, this program reads ${FORMAT}; run the version of ibexfs that wrote it`,
      );
    if (!Value.Check(ClusterRecord, cluster)) throw damaged(path, 'the cluster record is malformed');
    const nodes = this.#records('node', NodeRecord, path);
    const targets = this.#records('target', TargetRecord, path);
    const { clusterId, version, pools, rootTarget, nextNode, nextTarget, nextGroup = 1, nextSequence } = cluster;
    return {
      map: {
        clusterId,
        version,
        pools,
        rootTarget: rootTarget ?? undefined,
        nodes: nodes.map((record) => record.entry),
        targets: targets.map((record) => record.entry),
        groups: this.#records('group', MirrorGroupRecord, path),
        sequences: this.#records('sequence', SequenceRecord, path),
      },
      uuids: new Map(nodes.map((record) => [record.entry.id as NodeId, record.uuid])),
      tokens: new Map(targets.map((record) => [record.entry.id as TargetId, record.token])),
      nextNode,
      nextTarget,
      nextGroup,
      nextSequence,
    };
  }

  #records<Schema extends TSchema>(kind: string, schema: Schema, path: string): Static<Schema>[] {
    const found: Static<Schema>[] = [];
    for (const { key, value } of this.#database.getRange({ start: [kind, 0], end: [kind, Number.MAX_SAFE_INTEGER] })) {
      if (!Value.Check(schema, value)) throw damaged(path, `record ${String(key)} is malformed`);
      found.push(value as Static<Schema>);
    }
    return found;
  }
}

function damaged(path: string, what: string): StartupError {
  return new StartupError('ERR_INVALID', `database ${path} is damaged: ${what}; restore the folder from a backup`);
}
