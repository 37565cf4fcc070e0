/** The cluster in a few numbers. */
import type { ClusterMap } from '../../wire/cluster-map.js';
import { countClients } from '../handlers/clients.js';
import { latestUsage } from '../handlers/usage.js';
import type { Management } from '../management.js';
import type { StateCounts, Status } from './schemas.js';

function countStates(entries: ClusterMap['nodes'] | ClusterMap['targets']): StateCounts {
  const counts = { online: 0, 'probably-offline': 0, offline: 0 };
  for (const entry of entries) counts[entry.reachability]++;
  return { online: counts.online, probablyOffline: counts['probably-offline'], offline: counts.offline };
}

export function clusterStatus(management: Management, startedAt: number): Status {
  const { map } = management;
  const storage = new Set(map.targets.filter((target) => target.kind === 'storage').map((target) => target.id));
  const usage = [...latestUsage(management)].filter((figures) => storage.has(figures.target));
  const sum = (figure: 'bytesTotal' | 'bytesFree'): number => usage.reduce((total, figures) => total + figures[figure], 0);
  return {
    clusterId: map.clusterId,
    mapVersion: map.version,
    uptimeSeconds: Math.floor((management.now() - startedAt) / 1000),
    nodes: countStates(map.nodes),
    targets: countStates(map.targets),
    clients: countClients(management),
    bytesTotal: sum('bytesTotal'),
    bytesFree: sum('bytesFree'),
  };
}
