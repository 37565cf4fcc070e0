/** What every daemon does to be reachable: key, endpoint, address, way to mgmtd; each failure in one line. */
import type { Logger } from 'pino';
import { formatAddress } from '../config/index.js';
import type { RuntimeOptions } from '../native.js';
import { Backoff } from '../net/backoff.js';
import type { RdmaSettings } from '../net/carrier.js';
import { Cluster } from '../net/cluster.js';
import { Endpoint } from '../net/endpoint.js';
import type { Address, NodeKind } from '../wire/cluster-map.js';
import { toIbexError } from '../wire/errors.js';
import { readKeyFile } from '../wire/key.js';
import { pause } from './pause.js';
import { explainListenError, StartupError } from './startup-error.js';

export interface EndpointSettings {
  readonly kind: NodeKind;
  readonly logger: Logger;
  readonly keyFile: string;
  readonly runtime?: Partial<RuntimeOptions>;
  readonly serving?: 'loop' | 'threads';
  readonly rdma: RdmaSettings;
}

/** @throws StartupError about the key file or the native addon */
export async function openEndpoint(settings: EndpointSettings): Promise<{ endpoint: Endpoint; key: Buffer }> {
  const { kind, logger, keyFile, runtime, rdma, serving = 'loop' } = settings;
  const key = await readKeyFile(keyFile).catch((error: unknown) => {
    const cause = toIbexError(error);
    throw new StartupError(cause.kind, withoutSummary(cause.message), { cause: error });
  });
  return { endpoint: new Endpoint({ key, kind, logger, serving, rdma, ...(runtime === undefined ? {} : { runtime }) }), key };
}

/** The part behind 'ECODE: summary: ', where there is one. */
function withoutSummary(message: string): string {
  return message.split(': ').slice(2).join(': ') || message;
}

/** @throws StartupError that names the address */
export async function listen(endpoint: Endpoint, address: Address): Promise<Address> {
  try {
    return await endpoint.listen(address);
  } catch (error) {
    throw explainListenError(error, `cannot listen on ${formatAddress(address)} (listen.host, listen.port)`);
  }
}

/**
 * Connects to mgmtd, however long that takes: daemons of one machine start in any order.
 *
 * @throws IbexError ERR_HANDSHAKE_REFUSED: waiting does not help; or when `signal` is aborted
 */
export async function connectCluster(endpoint: Endpoint, mgmtd: readonly Address[], logger: Logger, signal: AbortSignal): Promise<Cluster> {
  const backoff = new Backoff(1_000, 30_000);
  for (;;) {
    try {
      return await Cluster.connect(endpoint, mgmtd);
    } catch (error) {
      if (signal.aborted || toIbexError(error).kind === 'ERR_HANDSHAKE_REFUSED') throw error;
      logger.warn(toIbexError(error).message);
      await pause(backoff.nextMs(), signal);
      signal.throwIfAborted();
    }
  }
}
