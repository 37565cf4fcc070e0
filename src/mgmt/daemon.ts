/** `ibex mgmtd`: puts the parts of the management daemon together. */
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { MgmtdConfig } from '../config/index.js';
import { formatAddress } from '../config/index.js';
import { advertisedAddresses } from '../daemon/advertise.js';
import { Closers } from '../daemon/closers.js';
import { ensureFolder, lockFolder } from '../daemon/folder.js';
import { listen, openEndpoint } from '../daemon/listen.js';
import { type RunningDaemon, runDaemon } from '../daemon/run.js';
import { explainListenError } from '../daemon/startup-error.js';
import type { Endpoint } from '../net/endpoint.js';
import { monotonicMs } from '../net/runtime.js';
import type { Address } from '../wire/cluster-map.js';
import { httpToken } from '../wire/key.js';
import { addHandlers } from './handlers/index.js';
import { createMetrics } from './http/metrics.js';
import { createHttpServer } from './http/server.js';
import { Management } from './management.js';
import { registerNode } from './state.js';
import { MgmtStore } from './store.js';

export interface RunningMgmtd extends RunningDaemon {
  readonly address: Address;
  /** undefined where HTTP is off. */
  readonly httpAddress: Address | undefined;
  readonly management: Management;
}

/** A state is at most this much older than what was heard. */
const TICK_MS_MAX = 250;

/** Resolves with the exit code when the daemon has ended. */
export function runMgmtd(config: MgmtdConfig): Promise<number> {
  return runDaemon('mgmtd', config.log, ({ logger, fatal }) => startMgmtd(config, logger, fatal));
}

/** @throws StartupError in one line that says what to do */
export async function startMgmtd(config: MgmtdConfig, logger: Logger, fatal: (error: Error) => void): Promise<RunningMgmtd> {
  const closers = new Closers();
  try {
    await ensureFolder(config.mgmtd.data, 'data folder (mgmtd.data)');
    const lock = await lockFolder(config.mgmtd.data, 'data folder (mgmtd.data)');
    closers.add(() => lock.release());
    const { store, state } = MgmtStore.open(config.mgmtd.data);
    closers.add(() => store.close());
    const { endpoint, key } = await openEndpoint({ kind: 'mgmtd', logger, keyFile: config.cluster.keyFile, rdma: config.rdma });
    closers.add(() => endpoint.close());
    const { heartbeat } = config;
    const tickMs = Math.min(TICK_MS_MAX, heartbeat.intervalMs / 2);
    const management = new Management({
      store,
      state,
      logger,
      limits: heartbeat,
      heartbeatMs: heartbeat.intervalMs,
      tickMs,
      now: monotonicMs,
    });
    addHandlers(endpoint, management);
    const address = await listen(endpoint, config.listen);
    registerSelf(management, config, address);
    closers.add(startTicking(management, tickMs, fatal));
    const httpAddress = config.http.enabled ? await startHttp(config, management, endpoint, httpToken(key), closers) : undefined;
    const http = httpAddress === undefined ? 'no HTTP' : `HTTP on ${formatAddress(httpAddress)}`;
    return {
      address,
      httpAddress,
      management,
      summary: `mgmtd serves cluster ${management.map.clusterId} on ${formatAddress(address)}, ${http}`,
      stop: () => closers.close(),
    };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

/** mgmtd stands in its own map, so that tables of nodes are complete. */
function registerSelf(management: Management, config: MgmtdConfig, address: Address): void {
  const alias = config.mgmtd.alias === '' ? undefined : config.mgmtd.alias;
  const addresses = advertisedAddresses(address, config.listen.advertise);
  management.commit(registerNode(management.state, { uuid: 'mgmtd', kind: 'mgmtd', hostName: hostname(), alias, addresses }).state);
}

function startTicking(management: Management, tickMs: number, fatal: (error: Error) => void): () => void {
  const timer = setInterval(() => {
    try {
      management.tick();
    } catch (error) {
      // A map that cannot be stored must not go on changing.
      clearInterval(timer);
      fatal(error instanceof Error ? error : new Error(String(error)));
    }
  }, tickMs);
  return () => clearInterval(timer);
}

async function startHttp(
  config: MgmtdConfig,
  management: Management,
  endpoint: Endpoint,
  token: string,
  closers: Closers,
): Promise<Address> {
  const metrics = createMetrics({ management, served: () => endpoint.served, native: () => endpoint.runtime.native.metrics() });
  const server = await createHttpServer({ management, metrics, token, logger: management.logger });
  closers.add(() => server.close());
  const { host, port } = config.http;
  try {
    await server.listen({ host, port });
  } catch (error) {
    throw explainListenError(error, `cannot serve HTTP on ${formatAddress({ host, port })} (http.host, http.port)`);
  }
  const bound = server.server.address();
  return { host, port: typeof bound === 'object' && bound !== null ? bound.port : port };
}
