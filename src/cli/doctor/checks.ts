/** All checks in the order in which they are shown. A check that fails itself is a finding, not a crash. */
import { existsSync, statSync } from 'node:fs';
import { readKeyFile } from '../../wire/key.js';
import { clientConfigFile, loadClientConfig } from '../client-config.js';
import { clusterHealth } from '../cluster-health.js';
import { withCluster } from '../connections.js';
import type { Context } from '../context.js';
import { reportOf } from '../exit-codes.js';
import { ibexMounts } from '../mounts.js';
import type { Finding } from './finding.js';
import { checkFuseDevice, checkFusermount, checkIdleProcessors, checkLockedMemory, checkNode } from './machine.js';
import { checkRdma } from './rdma.js';

/** The addon itself, and whether the kernel lets it use io_uring. */
async function checkNative(): Promise<Finding[]> {
  const { loadNative } = await import('../../native.js');
  try {
    const problem = loadNative().ioUringProblem();
    const name = 'io_uring';
    const advice =
      'Storage daemons then use threads for disk I/O, which costs more CPU. Linux 5.6 or newer has it; containers often forbid it (seccomp), and so does kernel.io_uring_disabled.';
    return [
      { name: 'native part', state: 'ok', detail: 'loaded' },
      problem === '' ? { name, state: 'ok', detail: 'asynchronous disk I/O' } : { name, state: 'note', detail: problem, advice },
    ];
  } catch (error) {
    return [
      {
        name: 'native part',
        state: 'wrong',
        detail: 'cannot be loaded',
        advice: `${(error as Error).message}. It needs g++, make and python3 (Debian, Ubuntu: apt-get install g++ make python3), then npm run build in a checkout, or npm rebuild ibexfs.`,
      },
    ];
  }
}

async function checkKey(context: Context): Promise<Finding> {
  const name = 'key file';
  let file: string;
  try {
    file = loadClientConfig(context.globals).cluster.keyFile;
  } catch (error) {
    return { name: 'configuration', state: 'wrong', detail: reportOf(error).message };
  }
  if (!existsSync(file)) {
    return {
      name,
      state: 'missing',
      detail: `${file} is not there`,
      advice: `Copy the cluster's key to it (mode 600), or for a new cluster: ibex key generate ${file}`,
    };
  }
  try {
    await readKeyFile(file);
  } catch (error) {
    return { name, state: 'wrong', detail: reportOf(error).message };
  }
  return { name, state: 'ok', detail: `${file}, mode ${(statSync(file).mode & 0o777).toString(8)}` };
}

async function checkCluster(context: Context): Promise<Finding> {
  const name = 'cluster';
  try {
    return await withCluster(context, async ({ map }) => {
      const { problems } = clusterHealth(map);
      if (problems.length > 0) return { name, state: 'note', detail: `reached, ${problems.join('; ')}` };
      return { name, state: 'ok', detail: `${map.clusterId}, all online` };
    });
  } catch (error) {
    const advice =
      'Start mgmtd there, or say where it is: --mgmtd HOST:PORT, or mgmtd in section [cluster] of client.toml. To try ibexfs: ibex dev.';
    return { name, state: 'missing', detail: reportOf(error).message, advice };
  }
}

export async function runChecks(context: Context, options: { readonly cluster: boolean }): Promise<Finding[]> {
  const configuration = clientConfigFile(context.globals);
  const mounts = ibexMounts();
  const key = await checkKey(context);
  const findings: Finding[] = [
    checkNode(),
    ...(await checkNative()),
    checkFuseDevice(),
    checkFusermount(),
    checkIdleProcessors(),
    checkLockedMemory(),
    ...(await checkRdma()),
    { name: 'client.toml', state: 'note', detail: configuration ?? 'none found: defaults' },
    key,
    { name: 'mounts here', state: 'note', detail: mounts.map(({ path }) => path).join(', ') || 'none' },
  ];
  if (options.cluster && key.state === 'ok') findings.push(await checkCluster(context));
  return findings;
}
