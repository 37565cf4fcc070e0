/**
 * Tests that need something of the machine skip by naming it; where it should be there (CI=true, IBEXFS_REQUIRE_RDMA=1),
 * its absence is a failure.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';

type Skip = { skip: string } | Record<string, never>;

const probes = {
  root: () => (process.getuid?.() === 0 ? '' : 'not running as root'),
  fuse: () => {
    try {
      accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
      return '';
    } catch (error) {
      return `/dev/fuse cannot be opened: ${(error as Error).message}`;
    }
  },
  rdma: () => {
    const folder = '/sys/class/infiniband';
    return existsSync(folder) && readdirSync(folder).length > 0 ? '' : `no RDMA device in ${folder}`;
  },
  fio: () => programIsMissing('fio'),
  git: () => programIsMissing('git'),
  sqlite3: () => programIsMissing('sqlite3'),
  cc: () => programIsMissing('cc'),
  make: () => programIsMissing('make'),
} as const;

function programIsMissing(name: string): string {
  return spawnSync(name, ['--version']).error === undefined ? '' : `${name} is not installed`;
}

/** In the machine of test/rxe there is everything. */
const required = process.env['CI'] === 'true' || process.env['IBEXFS_REQUIRE_RDMA'] === '1';

/** Options for a tap test that needs these. */
export function needs(...names: (keyof typeof probes)[]): Skip {
  const missing = names.map((name) => probes[name]()).filter((reason) => reason !== '');
  if (missing.length === 0) return {};
  if (required) throw new Error(`capability missing here: ${missing.join('; ')}`);
  return { skip: missing.join('; ') };
}
