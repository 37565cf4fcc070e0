/** From addresses and a key file to a FileSystem: wires the parts of a client together and nothing else. */
import { basename } from 'node:path';
import { type Logger, pino } from 'pino';
import { parseAddress } from '../config/units.js';
import { rdmaDefaults } from '../net/carrier.js';
import { Cluster } from '../net/cluster.js';
import { Endpoint } from '../net/endpoint.js';
import { runtimeDefaults } from '../net/runtime.js';
import type { Address } from '../wire/cluster-map.js';
import { IbexError } from '../wire/errors.js';
import { readKeyFile } from '../wire/key.js';
import { BufferRegistry } from './buffers.js';
import { ClusterFileSystem } from './file-system.js';
import { OpenFiles } from './open-files.js';
import type { ConnectOptions, FileSystem } from './types.js';
import { orAborted } from './window.js';

const DIRECTORY_CACHE_MS = 1000;
/** Native code moves data between sockets and the program's own memory: its pool serves only small things. */
const BUFFER_BYTES = 16 * 2 ** 20;

/**
 * Connects to a cluster.
 *
 * @throws IbexError when the key file cannot be read or others may read it, no mgmtd answers, or the key is not this cluster's
 */
export async function connect(options: ConnectOptions): Promise<FileSystem> {
  const addresses = parseAddresses(options.mgmtd);
  const logger: Logger = options.logger ?? pino({ level: 'silent' });
  const key = await readKeyFile(options.keyFile);
  options.signal?.throwIfAborted();
  const endpoint = new Endpoint({
    key,
    kind: 'client',
    name: options.name ?? `${basename(process.argv[1] ?? 'node')}:${process.pid}`,
    logger,
    rdma: { ...rdmaDefaults, ...options.rdma },
    runtime: {
      reactorThreads: options.reactorThreads ?? 1,
      bufferBytes: BUFFER_BYTES,
      ioTimeoutMs: options.requestTimeoutMs ?? runtimeDefaults.ioTimeoutMs,
    },
  });
  let cluster: Cluster | undefined;
  const shutdown = async (): Promise<void> => {
    await cluster?.close();
    await endpoint.close();
  };
  try {
    const { signal, connectTimeoutMs } = options;
    const connecting = Cluster.connect(endpoint, addresses, connectTimeoutMs === undefined ? {} : { timeoutMs: connectTimeoutMs });
    // Whoever was given up for and connects nevertheless is sent home.
    const sendHome = (): void => void connecting.then((late) => late.close()).catch(() => undefined);
    signal?.addEventListener('abort', sendHome, { once: true });
    cluster = await orAborted(connecting, signal);
    signal?.removeEventListener('abort', sendHome);
    return fileSystem(cluster, endpoint, options, logger, shutdown);
  } catch (error) {
    await shutdown();
    throw error;
  }
}

function fileSystem(
  cluster: Cluster,
  endpoint: Endpoint,
  options: ConnectOptions,
  logger: Logger,
  shutdown: () => Promise<void>,
): FileSystem {
  const { runtime } = endpoint;
  const files = new OpenFiles(cluster, runtime, (error, what) => logger.warn({ err: error }, `${what} failed`));
  cluster.onMetaSession((target, session) => files.reopen(target, session));
  const own = options.uid === undefined && options.gid === undefined;
  return new ClusterFileSystem({
    core: { calls: cluster, io: runtime, buffers: new BufferRegistry(runtime.native), files },
    management: cluster,
    map: () => cluster.map,
    identity: {
      uid: options.uid ?? process.getuid?.() ?? 0,
      gid: options.gid ?? process.getgid?.() ?? 0,
      groups: own ? (process.getgroups?.() ?? []) : [],
    },
    umask: process.umask(),
    directoryCacheMs: options.directoryCacheMs ?? DIRECTORY_CACHE_MS,
    shutdown,
    counters: () => runtime.native.metrics(),
  });
}

function parseAddresses(texts: string | readonly string[]): Address[] {
  const list = typeof texts === 'string' ? texts.split(',') : texts;
  if (list.length === 0) throw new IbexError('ERR_INVALID', "mgmtd: expected at least one 'host:port'");
  return list.map((text) => {
    const address = parseAddress(text);
    if (address === undefined) throw new IbexError('ERR_INVALID', `mgmtd '${text}': expected 'host:port', for example 'localhost:7410'`);
    return address;
  });
}
