/**
 * The message catalogue: every RPC with the fields of its request and response.
 *
 * A body travels as a msgpack array of the fields in the order given here, so fields are only ever
 * added at the end, as optional. Both sides check what they receive against the schema.
 */
import Type, { type Static, type TSchema } from 'typebox';

const id = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const fid = Type.Unsafe<import('./fid.js').Fid>(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }));
const nodeId = Type.Unsafe<import('./fid.js').NodeId>(Type.Integer({ minimum: 1, maximum: 0xffffffff }));
const targetId = Type.Unsafe<import('./fid.js').TargetId>(Type.Integer({ minimum: 1, maximum: 0xffffffff }));
const groupId = Type.Unsafe<import('./fid.js').GroupId>(Type.Integer({ minimum: 1, maximum: 0xffffffff }));
const u32 = Type.Integer({ minimum: 0, maximum: 0xffffffff });
const seconds = Type.Integer();
const nanoseconds = Type.Integer({ minimum: 0, maximum: 999_999_999 });
const bytes = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** Longest name is 255 bytes in UTF-8; the handlers check bytes, the schema bounds the string. */
const entryName = Type.String({ minLength: 1, maxLength: 255 });
const text = Type.String({ maxLength: 4096 });

/**
 * Attributes of an inode. Times are seconds plus nanoseconds since 1970; mode holds type and permission bits as st_mode.
 * change: how often the inode changed, in content (a directory's entries too) or attributes; clocks have no part in it.
 */
export const Attributes = Type.Object({
  fid,
  mode: u32,
  links: u32,
  uid: u32,
  gid: u32,
  size: bytes,
  device: u32,
  atime: seconds,
  atimeNs: nanoseconds,
  mtime: seconds,
  mtimeNs: nanoseconds,
  ctime: seconds,
  ctimeNs: nanoseconds,
  change: id,
});
export type Attributes = Static<typeof Attributes>;

/** Where the bytes of a file are: stripe i of the file lies on targets[i % targets.length]. Sizes in bytes. */
export const Layout = Type.Object({
  pattern: Type.Union([Type.Literal('plain')]),
  pool: text,
  stripeSize: Type.Integer({ minimum: 65536, maximum: 2 ** 30 }),
  targets: Type.Array(targetId, { maxItems: 1024 }),
});
export type Layout = Static<typeof Layout>;

/** What a directory passes on to files created below it. stripeCount 0 means all targets of the pool. */
export const LayoutDefaults = Type.Object({
  /** mirror: over mirror groups instead of targets. */
  pattern: Type.Union([Type.Literal('plain'), Type.Literal('mirror')]),
  pool: text,
  stripeSize: Type.Integer({ minimum: 65536, maximum: 2 ** 30 }),
  stripeCount: Type.Integer({ minimum: 0, maximum: 1024 }),
});
export type LayoutDefaults = Static<typeof LayoutDefaults>;

/** Who asks, for ownership of what is created. */
const caller = { uid: u32, gid: u32 };

export const DirectoryEntry = Type.Object({
  name: entryName,
  fid,
  /** Type bits of st_mode. */
  type: u32,
  /** Pass it to readDirectory to go on after this entry. Never 0. */
  cookie: id,
  attributes: Type.Optional(Attributes),
});
export type DirectoryEntry = Static<typeof DirectoryEntry>;

const empty = Type.Object({});
const withAttributes = Type.Object({ attributes: Attributes });
/** What a change of a directory did to its own attributes: spares the caller the question that would follow. */
const directory = Type.Optional(Attributes);
/** In a request about names in a directory: the caller would like a lease on the directory. */
const lease = Type.Optional(Type.Boolean());
/**
 * For so long after the request was sent nobody but the caller changes the directory, unless `client.endLease` says
 * so. Absent: no lease. newLeaseMs: the same for the second directory that the answer is about.
 */
const leaseMs = Type.Optional(u32);
const madeEntry = Type.Object({ attributes: Attributes, directory, leaseMs });
const removedEntry = Type.Object({ directory, leaseMs });
const optionalFid = Type.Optional(fid);
const opened = Type.Object({ attributes: Attributes, layout: Layout });

export interface Message<Request extends TSchema = TSchema, Response extends TSchema = TSchema> {
  readonly name: string;
  /** FrameHeader.operation */
  readonly operation: number;
  /** A message that changes something: it carries (client, channel, sequence) and a retry is answered, not applied again. */
  readonly changes: boolean;
  readonly request: Request;
  readonly response: Response;
}

const message = <Request extends TSchema, Response extends TSchema>(
  name: string,
  operation: number,
  changes: boolean,
  request: Request,
  response: Response,
): Message<Request, Response> => ({ name, operation, changes, request, response });

const reads = false;
const changes = true;

/** Metadata: served by `ibex meta`. */
export const meta = {
  /** A name that is not there is no error: without attributes, and with those of the directory. */
  lookup: message(
    'meta.lookup',
    100,
    reads,
    Type.Object({ parent: fid, name: entryName, lease }),
    Type.Object({ attributes: Type.Optional(Attributes), directory, leaseMs }),
  ),
  getAttributes: message('meta.getAttributes', 101, reads, Type.Object({ fid }), withAttributes),
  /** Only the fields given are changed. A new size cuts or extends the file on its targets before the answer. */
  setAttributes: message(
    'meta.setAttributes',
    102,
    changes,
    Type.Object({
      fid,
      mode: Type.Optional(u32),
      uid: Type.Optional(u32),
      gid: Type.Optional(u32),
      size: Type.Optional(bytes),
      atime: Type.Optional(seconds),
      atimeNs: Type.Optional(nanoseconds),
      mtime: Type.Optional(seconds),
      mtimeNs: Type.Optional(nanoseconds),
    }),
    withAttributes,
  ),
  /** Creates a regular file and opens it. exclusive false: an existing file is opened instead. */
  create: message(
    'meta.create',
    103,
    changes,
    Type.Object({
      parent: fid,
      name: entryName,
      mode: u32,
      ...caller,
      exclusive: Type.Boolean(),
      layout: Type.Optional(Type.Partial(LayoutDefaults)),
      lease,
    }),
    Type.Object({ attributes: Attributes, layout: Layout, created: Type.Boolean(), directory, leaseMs }),
  ),
  /** Opens a file: fresh attributes and its layout. Every open is paired with one `release`. truncate cuts it to 0 first. */
  open: message('meta.open', 104, changes, Type.Object({ fid, write: Type.Boolean(), truncate: Type.Boolean() }), opened),
  /** Ends opens; in batches. Unknown ones are ignored. */
  release: message(
    'meta.release',
    105,
    changes,
    Type.Object({ files: Type.Array(Type.Object({ fid, write: Type.Boolean() }), { maxItems: 4096 }) }),
    empty,
  ),
  /** After a metadata server came back: the files this client has open, each once per open. */
  reopen: message(
    'meta.reopen',
    106,
    changes,
    Type.Object({ files: Type.Array(Type.Object({ fid, write: Type.Boolean() }), { maxItems: 4096 }) }),
    empty,
  ),
  /** A writer's news at flush, fsync and close: the file reaches at least to `size` and was last written at mtime. durable: also on disk before the answer. */
  settle: message(
    'meta.settle',
    107,
    changes,
    Type.Object({ fid, size: bytes, mtime: seconds, mtimeNs: nanoseconds, durable: Type.Boolean() }),
    withAttributes,
  ),
  makeDirectory: message(
    'meta.makeDirectory',
    108,
    changes,
    Type.Object({ parent: fid, name: entryName, mode: u32, ...caller, lease }),
    Type.Object({ attributes: Attributes, directory, leaseMs, newLeaseMs: leaseMs }),
  ),
  makeSymlink: message(
    'meta.makeSymlink',
    109,
    changes,
    Type.Object({ parent: fid, name: entryName, target: text, ...caller, lease }),
    madeEntry,
  ),
  /** A regular file that is not opened, a fifo, a socket or a device: type bits in mode. */
  makeNode: message(
    'meta.makeNode',
    110,
    changes,
    Type.Object({ parent: fid, name: entryName, mode: u32, device: u32, ...caller, lease }),
    madeEntry,
  ),
  link: message('meta.link', 111, changes, Type.Object({ fid, parent: fid, name: entryName, lease }), madeEntry),
  unlink: message('meta.unlink', 112, changes, Type.Object({ parent: fid, name: entryName, lease }), removedEntry),
  removeDirectory: message(
    'meta.removeDirectory',
    113,
    changes,
    Type.Object({ parent: fid, name: entryName, lease }),
    Type.Object({ directory, leaseMs, removed: optionalFid }),
  ),
  rename: message(
    'meta.rename',
    114,
    changes,
    Type.Object({
      parent: fid,
      name: entryName,
      newParent: fid,
      newName: entryName,
      /** 'replace' as rename(2); 'keep' fails with EEXIST (RENAME_NOREPLACE); 'exchange' swaps (RENAME_EXCHANGE). */
      mode: Type.Union([Type.Literal('replace'), Type.Literal('keep'), Type.Literal('exchange')]),
      lease,
    }),
    /** moved: what newName stands for now. newDirectory: only where it is another one. replaced: what newName stood for before. */
    Type.Object({
      moved: Attributes,
      directory: Attributes,
      newDirectory: directory,
      leaseMs,
      newLeaseMs: leaseMs,
      replaced: optionalFid,
    }),
  ),
  readSymlink: message('meta.readSymlink', 115, reads, Type.Object({ fid }), Type.Object({ target: text })),
  /** Entries after `cookie` (0: from the start), without '.' and '..', in cookie order; end: no more follow. directory: its own attributes at that moment. */
  readDirectory: message(
    'meta.readDirectory',
    116,
    reads,
    Type.Object({
      fid,
      cookie: id,
      limit: Type.Integer({ minimum: 1, maximum: 4096 }),
      withAttributes: Type.Boolean(),
      lease,
    }),
    Type.Object({ entries: Type.Array(DirectoryEntry, { maxItems: 8192 }), end: Type.Boolean(), directory, leaseMs }),
  ),
  /** The layout of a file, or what a directory passes on (own: false when inherited). */
  getLayout: message(
    'meta.getLayout',
    117,
    reads,
    Type.Object({ fid }),
    Type.Object({
      layout: Type.Optional(Layout),
      defaults: Type.Optional(LayoutDefaults),
      own: Type.Boolean(),
    }),
  ),
  /** For a directory: what it passes on. For a file: only while it is empty. */
  setLayout: message('meta.setLayout', 118, changes, Type.Object({ fid, layout: Type.Partial(LayoutDefaults) }), empty),
  /** Everything acknowledged to anyone before this request is on disk before the answer. */
  sync: message('meta.sync', 119, reads, Type.Object({ fid: Type.Optional(fid) }), empty),
  setXattr: message(
    'meta.setXattr',
    120,
    changes,
    Type.Object({
      fid,
      name: entryName,
      value: Type.Unsafe<Uint8Array>(Type.Any()),
      mode: Type.Union([Type.Literal('any'), Type.Literal('create'), Type.Literal('replace')]),
    }),
    empty,
  ),
  getXattr: message(
    'meta.getXattr',
    121,
    reads,
    Type.Object({ fid, name: entryName }),
    Type.Object({ value: Type.Unsafe<Uint8Array>(Type.Any()) }),
  ),
  listXattrs: message(
    'meta.listXattrs',
    122,
    reads,
    Type.Object({ fid }),
    Type.Object({ names: Type.Array(entryName, { maxItems: 4096 }) }),
  ),
  removeXattr: message('meta.removeXattr', 123, changes, Type.Object({ fid, name: entryName }), empty),
  /** Files and directories of this metadata target, and what waits for removal. */
  statistics: message(
    'meta.statistics',
    124,
    reads,
    empty,
    Type.Object({ inodes: bytes, removalsPending: bytes, filesOpen: bytes, operations: bytes }),
  ),
  /** The caller relies on none of its leases any more. */
  giveBackLeases: message('meta.giveBackLeases', 125, reads, empty, empty),
} as const;

export const Usage = Type.Object({ target: targetId, bytesTotal: bytes, bytesFree: bytes, inodesTotal: bytes, inodesFree: bytes });
export type Usage = Static<typeof Usage>;

/**
 * Bytes that a process has moved since its start, by carrier; `rdmaCopied`: of them, between memory that the RDMA device knows
 * and other memory; and how often it has registered memory with the device.
 */
const CarrierTraffic = Type.Object({
  rdmaSent: bytes,
  rdmaReceived: bytes,
  tcpSent: bytes,
  tcpReceived: bytes,
  rdmaCopied: bytes,
  registrations: bytes,
});
export type CarrierTraffic = Static<typeof CarrierTraffic>;

/** Open sessions of a process by what carries them, and why the last of those over TCP is not over RDMA. */
export const SessionCarriers = Type.Object({
  rdma: u32,
  tcp: u32,
  reason: Type.String({ maxLength: 1024 }),
  traffic: Type.Optional(CarrierTraffic),
});
export type SessionCarriers = Static<typeof SessionCarriers>;

/** Of nodes, targets, pools and hosts: entries of the map stay small, so that pages of it fit messages. */
const shortText = Type.String({ maxLength: 255 });
const address = Type.Object({ host: shortText, port: Type.Integer({ minimum: 1, maximum: 65535 }) });
const reachability = Type.Union([Type.Literal('online'), Type.Literal('probably-offline'), Type.Literal('offline')]);

const consistency = Type.Union([Type.Literal('good'), Type.Literal('needs-resync'), Type.Literal('bad')]);

const NodeEntry = Type.Object({
  id: nodeId,
  kind: Type.Union([Type.Literal('mgmtd'), Type.Literal('meta'), Type.Literal('storage')]),
  alias: shortText,
  addresses: Type.Array(address, { maxItems: 16 }),
  reachability,
});
const TargetEntry = Type.Object({
  id: targetId,
  kind: Type.Union([Type.Literal('meta'), Type.Literal('storage')]),
  node: nodeId,
  alias: shortText,
  pool: shortText,
  reachability,
  consistency,
  since: id,
  bytesTotal: bytes,
  bytesFree: bytes,
  inodesTotal: bytes,
  inodesFree: bytes,
});
const GroupMember = Type.Object({ target: targetId, start: u32, consistency });
const GroupRecord = Type.Object({
  id: groupId,
  alias: shortText,
  epoch: id,
  primary: GroupMember,
  secondary: GroupMember,
  lingering: Type.Array(Type.Object({ target: targetId, start: u32 }), { maxItems: 16 }),
});
/** A change of the cluster map or a part of it: see map-pages.ts. */
const mapPage = Type.Unsafe<import('./map-pages.js').MapPage>(
  Type.Object({
    from: id,
    to: id,
    nodes: Type.Array(NodeEntry),
    targets: Type.Array(TargetEntry),
    pools: Type.Array(Type.Object({ name: shortText })),
    sequences: Type.Array(Type.Object({ first: id, last: id, target: targetId })),
    removed: Type.Object({
      nodes: Type.Array(nodeId),
      targets: Type.Array(targetId),
      pools: Type.Array(shortText),
      sequences: Type.Array(id),
      groups: Type.Optional(Type.Array(groupId)),
    }),
    more: Type.Boolean(),
    rootTarget: Type.Optional(targetId),
    groups: Type.Optional(Type.Array(GroupRecord)),
  }),
);

/** Lists come in pages, in order of ids: entries with a larger id than `after`, and the `after` of the next page if there is one. */
const pageRequest = Type.Object({ after: Type.Optional(id) });
const next = Type.Optional(id);

/** Management: served by `ibex mgmtd`. */
export const mgmt = {
  /** A daemon makes itself known; uuid is kept in its data folder, so that it stays the same node. node is its id. */
  registerNode: message(
    'mgmt.registerNode',
    200,
    changes,
    Type.Object({
      uuid: text,
      kind: Type.Union([Type.Literal('meta'), Type.Literal('storage')]),
      alias: Type.Optional(shortText),
      addresses: Type.Array(address, { minItems: 1, maxItems: 16 }),
    }),
    Type.Object({ node: nodeId, clusterId: text, heartbeatMs: u32 }),
  ),
  /** A target's folder is brought under this session's node. Without target it is new and gets one, to be written into the folder before use; a token that the folder made beforehand lets a repeated first registration find the same target. since: as in the map. */
  registerTarget: message(
    'mgmt.registerTarget',
    201,
    changes,
    Type.Object({
      kind: Type.Union([Type.Literal('meta'), Type.Literal('storage')]),
      alias: Type.Optional(shortText),
      pool: Type.Optional(shortText),
      usage: Type.Omit(Usage, ['target']),
      target: Type.Optional(targetId),
      token: Type.Optional(text),
      clusterId: Type.Optional(text),
    }),
    Type.Object({ target: targetId, token: text, clusterId: text, since: Type.Optional(id) }),
  ),
  /** Node is alive; figures of its targets, and disk faults that it saw since the last one. Answer: the map version mgmtd is at. */
  heartbeat: message(
    'mgmt.heartbeat',
    202,
    reads,
    Type.Object({ node: nodeId, usage: Type.Array(Usage, { maxItems: 1024 }), carriers: Type.Optional(SessionCarriers) }),
    Type.Object({ mapVersion: id }),
  ),
  /** The whole map as the change from the empty one, and from then on every change as `mapChanged` on this session. */
  subscribeMap: message('mgmt.subscribeMap', 203, reads, empty, Type.Object({ clusterId: text, page: mapPage })),
  /** One-way, from mgmtd to subscribers: a change, or its first page, whose others the subscriber then asks for. */
  mapChanged: message('mgmt.mapChanged', 204, reads, Type.Object({ page: mapPage }), empty),
  /** Page number `page` (the first one is 0) of the change to version `to` that the session is being told; asked for in order. */
  mapPage: message('mgmt.mapPage', 208, reads, Type.Object({ to: id, page: u32 }), Type.Object({ page: mapPage })),
  /** The next unused range of FID sequences for a metadata target of the calling node; persistent. */
  grantSequences: message(
    'mgmt.grantSequences',
    205,
    changes,
    Type.Object({ target: targetId, count: Type.Integer({ minimum: 1, maximum: 1024 }) }),
    Type.Object({ first: id, last: id }),
  ),
  /** Latest figures of the targets after `after`, newer than those in the map. */
  usage: message('mgmt.usage', 206, reads, pageRequest, Type.Object({ usage: Type.Array(Usage), next })),
  /** Clients that hold a session now, in the order in which they came. */
  clients: message(
    'mgmt.clients',
    207,
    reads,
    pageRequest,
    Type.Object({
      clients: Type.Array(
        Type.Object({
          id,
          kind: text,
          name: text,
          address: text,
          connectedSeconds: bytes,
          carrier: Type.Optional(Type.Union([Type.Literal('rdma'), Type.Literal('tcp')])),
          carrierDetail: Type.Optional(text),
        }),
      ),
      next,
    }),
  ),
  /** By which carriers the sessions of the nodes go, as they last reported; of nodes that are online. */
  carriers: message(
    'mgmt.carriers',
    209,
    reads,
    pageRequest,
    Type.Object({ carriers: Type.Array(Type.Object({ node: nodeId, ...SessionCarriers.properties })), next }),
  ),
  /** Makes mirror groups, all of them or none. uneven: targets may be of one node and of different sizes. Their ids, in order. */
  createGroups: message(
    'mgmt.createGroups',
    210,
    changes,
    Type.Object({
      groups: Type.Array(Type.Object({ primary: targetId, secondary: targetId, alias: Type.Optional(shortText) }), {
        minItems: 1,
        maxItems: 1024,
      }),
      uneven: Type.Boolean(),
    }),
    Type.Object({ groups: Type.Array(groupId) }),
  ),
  /** Its targets stand alone again. */
  deleteGroup: message('mgmt.deleteGroup', 211, changes, Type.Object({ group: groupId }), empty),
} as const;

/** What servers ask of their clients. */
export const client = {
  /** The lease on the directory ends: the answer says that the client relies on it no longer. */
  endLease: message('client.endLease', 300, reads, Type.Object({ fid }), empty),
} as const;

/** What every process answers. */
export const peer = {
  /** Why it could not make a queue pair now, empty when it could: whether it is worth connecting anew for RDMA. */
  rdmaTrouble: message('peer.rdmaTrouble', 400, reads, empty, Type.Object({ trouble: text })),
} as const;

export type RequestOf<M> = M extends Message<infer Request, TSchema> ? Static<Request> : never;
export type ResponseOf<M> = M extends Message<TSchema, infer Response> ? Static<Response> : never;

export const catalogue: ReadonlyMap<number, Message> = new Map(
  [...Object.values(meta), ...Object.values(mgmt), ...Object.values(client), ...Object.values(peer)].map((entry) => [
    entry.operation,
    entry as Message,
  ]),
);
