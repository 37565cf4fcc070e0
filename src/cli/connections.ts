/** Connects a command to the cluster: as a client of its files, or to its management. */
import type { Logger } from 'pino';
import type { FileSystem } from '../client/types.js';
import type { ClientConfig } from '../config/index.js';
import { formatAddress } from '../config/units.js';
import type { Cluster } from '../net/cluster.js';
import { IbexError } from '../wire/errors.js';
import { readKeyFile } from '../wire/key.js';
import type { Context } from './context.js';
import { CliError, exitCodes } from './exit-codes.js';

/** Commands wait this long for a cluster that does not answer. */
const CONNECT_TIMEOUT_MS = 3_000;
/** A command moves little: it needs no more memory for data in flight than this. */
const TOOL_BUFFER_BYTES = 16 * 2 ** 20;

/** What is loaded here is loaded late: help and wrong uses answer at once. */
async function toolLogger(): Promise<Logger> {
  const { pino } = await import('pino');
  return pino({ level: process.env['IBEX_LOG_LEVEL'] ?? 'silent' }, pino.destination(2));
}

async function clientConfig(context: Context): Promise<ClientConfig> {
  const { loadClientConfig } = await import('./client-config.js');
  return loadClientConfig(context.globals);
}

/** The key for what needs no cluster. */
export async function readKey(context: Context): Promise<Buffer> {
  return await readConfiguredKey(await clientConfig(context));
}

/** A missing key is a matter of configuration, not of a file that was asked for. */
async function readConfiguredKey(config: ClientConfig): Promise<Buffer> {
  try {
    return await readKeyFile(config.cluster.keyFile);
  } catch (error) {
    if (error instanceof IbexError && error.kind === 'ERR_NOT_FOUND')
      throw new CliError(error.message, exitCodes.usage, 'ENOKEY', { cause: error });
    throw error;
  }
}

/** Runs `body` with the files of the cluster and closes the connection whatever happens. */
export async function withFiles<Result>(context: Context, body: (files: FileSystem) => Promise<Result>): Promise<Result> {
  const config = await clientConfig(context);
  await readConfiguredKey(config);
  const { connect } = await import('../client/connect.js');
  const files = await connect({
    mgmtd: config.cluster.mgmtd.map(formatAddress),
    keyFile: config.cluster.keyFile,
    logger: await toolLogger(),
    signal: context.signal,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    reactorThreads: config.client.reactorThreads,
    rdma: config.rdma,
  });
  try {
    return await body(files);
  } finally {
    await files.close();
  }
}

/** Runs `body` with a connection to the management daemon. */
export async function withCluster<Result>(
  context: Context,
  body: (cluster: Cluster, config: ClientConfig) => Promise<Result>,
): Promise<Result> {
  const config = await clientConfig(context);
  const key = await readConfiguredKey(config);
  const [{ Endpoint }, { Cluster }] = await Promise.all([import('../net/endpoint.js'), import('../net/cluster.js')]);
  const endpoint = new Endpoint({
    key,
    kind: 'tool',
    logger: await toolLogger(),
    rdma: config.rdma,
    runtime: { bufferBytes: TOOL_BUFFER_BYTES },
  });
  try {
    const cluster = await Cluster.connect(endpoint, config.cluster.mgmtd, { timeoutMs: CONNECT_TIMEOUT_MS });
    try {
      return await body(cluster, config);
    } finally {
      await cluster.close();
    }
  } finally {
    await endpoint.close();
  }
}
