/** Which cluster a command talks to: configuration file, variables and the global flags, in that order. */
import { existsSync } from 'node:fs';
import { type ClientConfig, defaultConfigFile, loadConfig } from '../config/index.js';
import { defaultDataFolder, devFiles } from '../dev/files.js';
import type { GlobalOptions } from './context.js';

/** --config, $IBEX_CONFIG, /etc/ibexfs/client.toml, or what `ibex dev` wrote for its cluster; undefined: the defaults. */
export function clientConfigFile(globals: GlobalOptions): string | undefined {
  if (globals.config !== undefined) return globals.config;
  const named = process.env['IBEX_CONFIG'];
  if (named !== undefined && named !== '') return named;
  return [defaultConfigFile('client'), devFiles(defaultDataFolder()).config('client')].find((file) => existsSync(file));
}

export function loadClientConfig(globals: GlobalOptions, flags: Readonly<Record<string, unknown>> = {}): ClientConfig {
  return loadConfig('client', {
    file: clientConfigFile(globals) ?? null,
    flags: { 'cluster.mgmtd': globals.mgmtd, 'cluster.key_file': globals.keyFile, ...flags },
  });
}
