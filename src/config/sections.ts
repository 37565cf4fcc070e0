/**
 * Every configuration key of ibexfs, in the sections of the files. A key is here only while code reads it.
 */
import { addresses, choice, duration, host, integer, optionalPath, path, paths, size, text, toggle } from './key.js';

const keyFile = path('/etc/ibexfs/key', 'File with the secret of the cluster, made by `ibex key generate`; readable by its owner alone.');

/** For the process that others ask: mgmtd itself. */
export const clusterOfMgmtd = { key_file: keyFile };

export const cluster = {
  key_file: keyFile,
  mgmtd: addresses(['127.0.0.1:7410'], 1, 'Where mgmtd can be reached; the first that answers is used.'),
};

const listenHost = host(
  '127.0.0.1',
  'Address to listen on. The default serves this machine alone; "0.0.0.0" or "::" serves every network.',
);
const alias = (kind: string) =>
  text(
    '',
    `Name of this node in tables and logs; "" makes it ${kind}-HOST-ID.`,
    '^[A-Za-z0-9._-]*$',
    'a name of letters, digits, ".", "_" and "-"',
  );

export const listenOf = (port: number) => ({
  host: listenHost,
  port: integer(0, 65535, port, 'TCP port to listen on; 0 takes any free one.'),
  advertise: addresses(
    [],
    0,
    'Addresses under which others reach this node; [] advertises the one listened on, or, listening on every network, one of each network interface.',
  ),
});

export const log = {
  level: choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace'], 'info', 'Least severe messages that are logged.'),
  file: optionalPath('File for the log, opened again at SIGHUP; "" logs to standard output.'),
};

export const rdma = {
  policy: choice(
    ['require', 'prefer', 'off'],
    'prefer',
    'Whether sessions of this node go over RDMA: "prefer" uses TCP where RDMA cannot be used, and says why; "require" refuses such sessions; "off" uses TCP alone. Traffic over RDMA is not encrypted.',
  ),
  device: text(
    '',
    'RDMA device such as "mlx5_0"; "" takes the first with a usable port.',
    '^[A-Za-z0-9._-]*$',
    'a name of letters, digits, ".", "_" and "-"',
  ),
  port: integer(1, 255, 1, 'Port of the RDMA device, counted from 1.'),
  gid_index: integer(
    -1,
    255,
    -1,
    "Entry of the port's GID table to use; -1 takes the one whose address the TCP connection to the peer has, or else the best.",
  ),
};

export const mgmtd = {
  data: path('/var/lib/ibexfs/mgmtd', 'Folder for the cluster map. It must be on a local disk and belong to one mgmtd alone.'),
  alias: alias('mgmtd'),
};

export const heartbeat = {
  interval: duration('100 ms', '60 s', '1 s', 'How often daemons report to mgmtd.'),
  lost_session_after: duration('100 ms', '10 min', '1.5 s', 'A node whose connection broke is probably offline after this long.'),
  probably_offline_after: duration('200 ms', '10 min', '5 s', 'A node that stays silent is probably offline after this long.'),
  offline_after: duration('500 ms', '1 h', '15 s', 'A node that stays silent is offline after this long.'),
};

export const http = {
  enabled: toggle(true, 'Serve the HTTP API: status, metrics, OpenAPI document.'),
  host: host('127.0.0.1', 'Address that the HTTP API listens on. It is not encrypted; put a TLS proxy before it to serve other machines.'),
  port: integer(0, 65535, 7411, 'TCP port of the HTTP API; 0 takes any free one.'),
};

export const meta = {
  data: path('/var/lib/ibexfs/meta', 'Folder of the metadata target. It must be on a local disk and belong to one daemon alone.'),
  alias: alias('meta'),
  database_size_max: size(
    '64 MiB',
    '16 TiB',
    '1 TiB',
    'Largest size of the database; only address space is reserved for it, the file grows as needed.',
  ),
  accept_loss: toggle(
    false,
    'Start although a part of the log is damaged, giving up what cannot be read. Only after a disk fault and for one start.',
  ),
  durability: choice(
    ['relaxed', 'sync'],
    'relaxed',
    '"sync" has every change on disk before it is answered; "relaxed" once a second and at fsync, so that a power cut may take back the last second.',
  ),
};

export const storage = {
  data: path('/var/lib/ibexfs/storage', 'Folder for the identity of this node; small.'),
  alias: alias('storage'),
  targets: paths(
    ['/var/lib/ibexfs/storage/target-1'],
    'Folders for file data, one for each target, usually one for each disk. They are made when missing.',
  ),
  pool: text(
    'default',
    'Storage pool that new targets of this node join.',
    '^[A-Za-z0-9._-]+$',
    'a name of letters, digits, ".", "_" and "-"',
  ),
  reactor_threads: integer(0, 64, 0, 'Threads that serve connections; 0 takes one for each processor, 4 at most.'),
  buffer_memory: size('16 MiB', '64 GiB', '128 MiB', 'Memory for data on its way between network and disk.'),
};

export const client = {
  name: text(
    '',
    'Name of this client in tables and logs; "" takes the host name.',
    '^[A-Za-z0-9._-]*$',
    'a name of letters, digits, ".", "_" and "-"',
  ),
  reactor_threads: integer(1, 16, 1, 'Threads that move file data.'),
  buffer_memory: size('16 MiB', '64 GiB', '128 MiB', 'Memory for data on its way between applications and storage nodes.'),
  request_timeout: duration('1 s', '1 h', '30 s', 'A request that was not answered for this long, over all retries, fails.'),
};

export const mount = {
  threads: integer(1, 64, 2, 'Threads that read requests from the kernel.'),
  allow_other: toggle(false, 'Let users other than the one who mounted use the mount (root, always, when root mounts).'),
  attribute_validity: duration('0 ms', '1 h', '1 s', 'How long the kernel may use attributes without asking.'),
  entry_validity: duration('0 ms', '1 h', '1 s', 'How long the kernel may use names without asking.'),
};
