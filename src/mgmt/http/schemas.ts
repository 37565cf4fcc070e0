/** Shapes of the HTTP API's answers; the OpenAPI document and the serializers are made from them. */
import Type, { type Static } from 'typebox';
import type { GroupRecord, NodeEntry, TargetEntry } from '../../wire/cluster-map.js';
import { PAGE_ENTRIES_MAX, type Page } from '../page.js';

const Id = Type.Integer({ minimum: 1 });
const Bytes = Type.Integer({ minimum: 0, description: 'Bytes' });
const Count = Type.Integer({ minimum: 0 });
const Reachability = Type.Enum(['online', 'probably-offline', 'offline']);
const Consistency = Type.Enum(['good', 'needs-resync', 'bad']);
const figures = { bytesTotal: Bytes, bytesFree: Bytes, inodesTotal: Count, inodesFree: Count };

export const HttpError = Type.Object({ code: Type.String({ description: 'Stable code, as ERR_NOT_FOUND' }), message: Type.String() });

export const Health = Type.Object({ status: Type.Literal('ok') });

const StateCounts = Type.Object({ online: Count, probablyOffline: Count, offline: Count });
export type StateCounts = Static<typeof StateCounts>;

export const Status = Type.Object({
  clusterId: Type.String(),
  mapVersion: Count,
  uptimeSeconds: Count,
  nodes: StateCounts,
  targets: StateCounts,
  clients: Count,
  bytesTotal: Bytes,
  bytesFree: Bytes,
});
export type Status = Static<typeof Status>;

export const HttpNode = Type.Unsafe<NodeEntry>(
  Type.Object({
    id: Id,
    kind: Type.Enum(['mgmtd', 'meta', 'storage']),
    alias: Type.String(),
    addresses: Type.Array(Type.Object({ host: Type.String(), port: Count })),
    reachability: Reachability,
  }),
);

export const HttpTarget = Type.Unsafe<TargetEntry>(
  Type.Object({
    id: Id,
    kind: Type.Enum(['meta', 'storage']),
    node: Id,
    alias: Type.String(),
    pool: Type.String(),
    reachability: Reachability,
    consistency: Consistency,
    since: Count,
    ...figures,
  }),
);

const process = { target: Id, start: Type.Integer({ minimum: 0, description: "Number of the target's process" }) };
const GroupMember = Type.Object({ ...process, consistency: Consistency });

export const HttpGroup = Type.Unsafe<GroupRecord>(
  Type.Object({
    id: Id,
    alias: Type.String(),
    epoch: Type.Integer({ minimum: 1, description: 'Rises with every change of roles and states' }),
    primary: GroupMember,
    secondary: GroupMember,
    lingering: Type.Array(Type.Object(process), { description: 'Processes that may still act by an earlier epoch' }),
  }),
);

export const HttpUsage = Type.Object({ target: Id, ...figures });

export const HttpClient = Type.Object({
  id: Type.Integer({ minimum: 1, description: 'Number of the session since mgmtd started' }),
  kind: Type.String(),
  name: Type.String(),
  address: Type.String(),
  connectedSeconds: Count,
  carrier: Type.Optional(Type.Enum(['rdma', 'tcp'], { description: 'What its session with mgmtd goes over' })),
  carrierDetail: Type.Optional(Type.String({ description: 'The path, or why it is not RDMA' })),
});

export const HttpCarriers = Type.Object({ node: Id, rdma: Count, tcp: Count, reason: Type.String() });

export const HttpMap = Type.Object({
  clusterId: Type.String(),
  version: Count,
  nodes: Type.Array(HttpNode),
  targets: Type.Array(HttpTarget),
  pools: Type.Array(Type.Object({ name: Type.String() })),
  groups: Type.Array(HttpGroup),
  sequences: Type.Array(Type.Object({ first: Count, last: Count, target: Id })),
  rootTarget: Type.Optional(Id),
});

/** Lists come in pages, in order of ids; `next` is to be given as `after` for the page that follows. */
export const PageQuery = Type.Object({
  after: Type.Optional(Type.Integer({ minimum: 0, description: 'Entries with a larger id than this' })),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: PAGE_ENTRIES_MAX, description: `Entries of a page; ${PAGE_ENTRIES_MAX} when absent` }),
  ),
});

export const pageOf = <Entry>(entry: Type.TSchema) =>
  Type.Unsafe<Page<Entry>>(
    Type.Object({
      items: Type.Array(entry),
      next: Type.Optional(Type.Integer({ minimum: 1, description: 'The `after` of the next page; absent on the last one' })),
    }),
  );
