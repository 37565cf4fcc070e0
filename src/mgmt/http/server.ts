/**
 * mgmtd's HTTP API: reads only. Everything but /health wants the bearer token that is derived from the
 * cluster's key. Bodies, headers, connections and times are bounded.
 */
import bearerAuth from '@fastify/bearer-auth';
import helmet from '@fastify/helmet';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { type FastifyBaseLogger, type FastifyError, type FastifyInstance, fastify, LogController } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type Type from 'typebox';
import type { Static } from 'typebox';
import type { GroupRecord, NodeEntry, TargetEntry } from '../../wire/cluster-map.js';
import type { Usage } from '../../wire/messages.js';
import { type NodeCarriers, nodeCarriers } from '../handlers/carriers.js';
import { type ClientEntry, connectedClients } from '../handlers/clients.js';
import { latestUsage } from '../handlers/usage.js';
import type { Management } from '../management.js';
import { type PageRequest, page } from '../page.js';
import {
  Health,
  HttpCarriers,
  HttpClient,
  HttpError,
  HttpGroup,
  HttpMap,
  HttpNode,
  HttpTarget,
  HttpUsage,
  PageQuery,
  pageOf,
  Status,
} from './schemas.js';
import { clusterStatus } from './status.js';

export interface HttpOptions {
  readonly management: Management;
  readonly metrics: Registry;
  readonly token: string;
  readonly logger: Logger;
}

/** Nothing here takes a body. */
const BODY_BYTES_MAX = 4096;
const CONNECTIONS_MAX = 256;

const limits = {
  bodyLimit: BODY_BYTES_MAX,
  requestTimeout: 10_000,
  connectionTimeout: 20_000,
  keepAliveTimeout: 15_000,
  http: { maxHeaderSize: 8192, headersTimeout: 10_000 },
};

export async function createHttpServer(options: HttpOptions): Promise<FastifyInstance> {
  const loggerInstance: FastifyBaseLogger = options.logger.child({ part: 'http' });
  const app = fastify({
    ...limits,
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { ignoreTrailingSlash: true },
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  await app.register(helmet);
  await app.register(swagger, {
    openapi: {
      info: { title: 'ibexfs management', version: '1', description: 'State of an ibexfs cluster.' },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'Derived from the key of the cluster' } } },
      security: [{ token: [] }],
    },
  });
  await requireToken(app, options.token);
  answerErrorsAsJson(app);
  addRoutes(app, options);
  return app;
}

async function requireToken(app: FastifyInstance, token: string): Promise<void> {
  await app.register(bearerAuth, { keys: new Set([token]), addHook: false, verifyErrorLogLevel: 'debug' });
  app.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.url === '/health') done();
    else void app.verifyBearerAuth?.(request, reply, done);
  });
}

function answerErrorsAsJson(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    // The token check has set 401 on the reply, not on its error.
    const status = error.statusCode ?? (reply.statusCode >= 400 ? reply.statusCode : 500);
    if (status >= 500) request.log.error({ err: error }, `${request.method} ${request.url} failed`);
    return reply.code(status).send(describe(error, status));
  });
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ code: 'ERR_NOT_FOUND', message: `no ${request.method} ${request.url.split('?')[0]} here; see /openapi.json` }),
  );
}

function describe(error: Error, status: number): Static<typeof HttpError> {
  if (status === 401) return { code: 'ERR_NOT_AUTHENTICATED', message: `${error.message}: send "Authorization: Bearer TOKEN"` };
  return status < 500
    ? { code: 'ERR_INVALID', message: error.message }
    : { code: 'ERR_INTERNAL', message: 'internal error; see the log of mgmtd' };
}

function addRoutes(instance: FastifyInstance, { management, metrics }: HttpOptions): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const startedAt = management.now();
  const answers = (schema: Type.TSchema, summary: string, more: object = {}) => ({
    schema: { summary, response: { 200: schema, '4xx': HttpError, '5xx': HttpError }, ...more },
  });
  const pages = { querystring: PageQuery };

  app.get('/health', answers(Health, 'Whether mgmtd answers', { security: [] }), () => ({ status: 'ok' as const }));
  app.get('/api/v1/status', answers(Status, 'The cluster in a few numbers'), () => clusterStatus(management, startedAt));
  app.get<{ Querystring: PageRequest }>('/api/v1/nodes', answers(pageOf<NodeEntry>(HttpNode), 'Nodes', pages), (request) =>
    page(management.map.nodes, (node) => node.id, request.query),
  );
  app.get<{ Querystring: PageRequest }>('/api/v1/targets', answers(pageOf<TargetEntry>(HttpTarget), 'Targets', pages), (request) =>
    page(management.map.targets, (target) => target.id, request.query),
  );
  app.get<{ Querystring: PageRequest }>('/api/v1/groups', answers(pageOf<GroupRecord>(HttpGroup), 'Mirror groups', pages), (request) =>
    page(management.map.groups, (group) => group.id, request.query),
  );
  app.get<{ Querystring: PageRequest }>(
    '/api/v1/usage',
    answers(pageOf<Usage>(HttpUsage), 'Latest figures of the targets', pages),
    (request) => page(latestUsage(management), (usage) => usage.target, request.query),
  );
  app.get('/api/v1/map', answers(HttpMap, 'The cluster map, all of one version'), () => management.map);
  app.get<{ Querystring: PageRequest }>(
    '/api/v1/clients',
    answers(pageOf<ClientEntry>(HttpClient), 'Clients that hold a session', pages),
    (request) => page(connectedClients(management), (client) => client.id, request.query),
  );
  app.get<{ Querystring: PageRequest }>(
    '/api/v1/carriers',
    answers(pageOf<NodeCarriers>(HttpCarriers), "What the nodes' sessions go over, RDMA or TCP", pages),
    (request) => page(nodeCarriers(management), (entry) => entry.node, request.query),
  );
  app.get('/metrics', { schema: { summary: 'Figures for Prometheus', produces: ['text/plain'] } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  );
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
}
