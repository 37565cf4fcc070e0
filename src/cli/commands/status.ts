/** `ibex status`: one look that tells whether the cluster is well. */
import type { Command } from 'commander';
import pc from 'picocolors';
import { everyCarrier, everyClient, everyUsage } from '../../client/management-lists.js';
import { meta } from '../../wire/messages.js';
import { clusterHealth } from '../cluster-health.js';
import { withCluster } from '../connections.js';
import { action, examples } from '../context.js';
import { formatBytes, formatCount, formatPercent } from '../output/format.js';

interface Options {
  readonly check?: boolean;
}

type NodeCarriers = Awaited<ReturnType<typeof everyCarrier>>[number];

/** Sessions of all daemons; why some go over TCP is the same for many. */
function describeCarriers(carriers: readonly NodeCarriers[]): string {
  const sum = (figure: 'rdma' | 'tcp'): number => carriers.reduce((total, entry) => total + entry[figure], 0);
  const reasons = [...new Set(carriers.map(({ reason }) => reason).filter((reason) => reason !== ''))];
  const shown = reasons.length > 2 ? [...reasons.slice(0, 2), '...'] : reasons;
  return `${formatCount(sum('rdma'))} sessions over RDMA, ${formatCount(sum('tcp'))} over TCP${shown.length === 0 ? '' : ` (${shown.join('; ')})`}`;
}

export function define(command: Command): void {
  command.option('--check', 'end with exit code 1 unless everything is online').action(
    action<Options>((context, { check }) =>
      withCluster(context, async (cluster, config) => {
        const { map } = cluster;
        const [usage, clients, carriers] = await Promise.all([everyUsage(cluster), everyClient(cluster), everyCarrier(cluster)]);
        const health = clusterHealth(map);
        const online = map.targets.filter((target) => target.kind === 'meta' && target.reachability === 'online');
        const counts = await Promise.all(online.map((target) => cluster.metaTarget(target.id, meta.statistics, {}, { timeoutMs: 5_000 })));
        const inodes = counts.reduce((sum, entry) => sum + entry.inodes, 0);
        const storage = new Set(map.targets.filter((target) => target.kind === 'storage').map((target) => target.id));
        const own = usage.filter((entry) => storage.has(entry.target));
        const total = own.reduce((sum, entry) => sum + entry.bytesTotal, 0);
        const free = own.reduce((sum, entry) => sum + entry.bytesFree, 0);
        const mgmtd = cluster.mgmtdSession?.peer.address ?? config.cluster.mgmtd.map(({ host, port }) => `${host}:${port}`).join(', ');
        context.out.facts(
          [
            ['cluster', map.clusterId],
            ['health', health.problems.length === 0 ? pc.green('ok') : pc.yellow('degraded')],
            ['management', `${mgmtd}, map version ${map.version}`],
            ['nodes', `${health.nodesOnline} of ${map.nodes.length} online`],
            ['targets', `${health.targetsOnline} of ${map.targets.length} online`],
            ...(map.groups.length === 0
              ? []
              : [['mirror groups', `${health.groupsWhole} of ${map.groups.length} with two good copies`] as const]),
            ['space', `${formatBytes(free)} free of ${formatBytes(total)} (${formatPercent(total - free, total)} used)`],
            ['inodes', formatCount(inodes)],
            ['clients', formatCount(clients.length)],
            ['transport', describeCarriers(carriers)],
          ],
          {
            clusterId: map.clusterId,
            healthy: health.problems.length === 0,
            problems: health.problems,
            mapVersion: map.version,
            nodes: { total: map.nodes.length, online: health.nodesOnline },
            targets: { total: map.targets.length, online: health.targetsOnline },
            groups: { total: map.groups.length, whole: health.groupsWhole },
            bytes: { total, free },
            inodes,
            clients,
            carriers,
          },
        );
        for (const problem of health.problems) context.out.line(`${pc.yellow('!')} ${problem}`);
        return check === true && health.problems.length > 0 ? 1 : 0;
      }),
    ),
  );
  examples(command, [
    ['ibex status', 'what is there and whether it is well'],
    ['ibex status --check', 'for scripts: exit code 1 when something is offline'],
    ['ibex status --output json', 'the same as JSON'],
  ]);
}
