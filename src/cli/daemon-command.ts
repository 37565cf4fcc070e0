/** What the commands of the daemons share: a flag for every key of their configuration. */
import { type Command, Option } from 'commander';
import { type ConfigKind, type ConfigOf, configKinds, flagName, loadConfig } from '../config/index.js';
import type { ConfigKey } from '../config/key.js';
import type { GlobalOptions } from './context.js';
import { exitWithParent } from './parent.js';

/** Keys that have global flags of their own. */
const globalKeys: Readonly<Record<string, keyof GlobalOptions>> = { 'cluster.key_file': 'keyFile', 'cluster.mgmtd': 'mgmtd' };

const showDefault = (value: ConfigKey['fallback']): string => (Array.isArray(value) ? value.join(',') : String(value));

/** Adds the flags; returns how to read them back by the names that the configuration file has. */
export function configFlags(
  command: Command,
  kind: ConfigKind,
  sections: readonly string[] = Object.keys(configKinds[kind]),
): (options: Readonly<Record<string, unknown>>) => Record<string, unknown> {
  const names = new Map<string, string>();
  for (const [section, keys] of Object.entries(configKinds[kind] as Readonly<Record<string, Readonly<Record<string, ConfigKey>>>>)) {
    if (!sections.includes(section)) continue;
    for (const [name, key] of Object.entries(keys)) {
      const full = `${section}.${name}`;
      if (Object.hasOwn(globalKeys, full)) continue;
      const fallback = showDefault(key.fallback);
      const option = new Option(`${flagName(section, name)} <value>`, `${key.help}${fallback === '' ? '' : ` (default: ${fallback})`}`);
      names.set(option.attributeName(), full);
      command.addOption(option);
    }
  }
  return (options) =>
    Object.fromEntries([...names].map(([attribute, full]) => [full, options[attribute]]).filter(([, value]) => value !== undefined));
}

export function globalFlags(globals: GlobalOptions, kind: ConfigKind): Record<string, unknown> {
  const flags: Record<string, unknown> = {};
  const tables = configKinds[kind] as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  for (const [full, option] of Object.entries(globalKeys)) {
    const [section = '', name = ''] = full.split('.');
    if (globals[option] !== undefined && Object.hasOwn(tables[section] ?? {}, name)) flags[full] = globals[option];
  }
  return flags;
}

/** Hidden: `ibex dev` starts its daemons with it. */
export function exitWithParentOption(): Option {
  return new Option('--exit-with-parent').hideHelp();
}

/** Defines a daemon's command. It ends the process: what hangs in a daemon must not keep it alive. */
export function defineDaemon<Kind extends Exclude<ConfigKind, 'client'>>(
  command: Command,
  kind: Kind,
  run: (config: ConfigOf<Kind>) => Promise<number>,
): void {
  const flagsOf = configFlags(command, kind);
  command.addOption(exitWithParentOption()).action(async (options: Record<string, unknown>, self: Command) => {
    if (options['exitWithParent'] === true) exitWithParent();
    const globals = self.optsWithGlobals() as GlobalOptions;
    const config = loadConfig(kind, { file: globals.config, flags: { ...globalFlags(globals, kind), ...flagsOf(options) } });
    process.exit(await run(config));
  });
}
