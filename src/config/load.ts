/**
 * Reads the configuration of one program: defaults, then the file, then variables, then flags. Everything
 * wrong is found in one pass and refused together; nothing is guessed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { ConfigError, type ConfigProblem } from './config-error.js';
import type { ConfigKey } from './key.js';
import { type ConfigKind, type ConfigOf, configKinds, configRules, environmentName, propertyName, type SectionTable } from './kinds.js';
import { nearest } from './nearest.js';
import { findPositions, type Positions } from './positions.js';

export interface LoadOptions {
  /** undefined: /etc/ibexfs/KIND.toml if there is one; null: no file. */
  readonly file?: string | null | undefined;
  /** By `section.key` (as in the file); values as TOML has them, or text. */
  readonly flags?: Readonly<Record<string, unknown>> | undefined;
  /** process.env when absent. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
}

/** A configuration larger than this is no configuration. */
const FILE_BYTES_MAX = 1 << 20;

interface Setting {
  readonly source: string;
  readonly line?: number | undefined;
  readonly baseFolder: string;
  readonly raw: unknown;
}

class Loader {
  readonly problems: ConfigProblem[] = [];
  readonly settings = new Map<string, Setting>();
  readonly #tables: SectionTable;

  constructor(tables: SectionTable) {
    this.#tables = tables;
  }

  keyOf(section: string, name: string): ConfigKey | undefined {
    const table = Object.hasOwn(this.#tables, section) ? this.#tables[section] : undefined;
    return table !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;
  }

  file(path: string): void {
    const { document, tables } = readToml(path);
    const positions = findPositions(document);
    for (const [section, content] of Object.entries(tables)) {
      if (!Object.hasOwn(this.#tables, section)) {
        this.problems.push({ source: path, line: positions.get(section), key: section, detail: this.#unknownSection(section, content) });
      } else if (typeof content !== 'object' || content === null || Array.isArray(content)) {
        this.problems.push({
          source: path,
          line: positions.get(section),
          key: section,
          detail: `${show(section)} is a section; expected "[${section}]" with its keys below`,
        });
      } else {
        this.#section(path, positions, section, content as Record<string, unknown>);
      }
    }
  }

  #section(path: string, positions: Positions, section: string, content: Record<string, unknown>): void {
    for (const [name, raw] of Object.entries(content)) {
      const line = positions.get(`${section}.${name}`) ?? positions.get(section);
      if (this.keyOf(section, name) === undefined) {
        this.problems.push({ source: path, line, key: `${section}.${name}`, detail: this.#unknownKey(section, name) });
      } else {
        this.settings.set(`${section}.${name}`, { source: path, line, baseFolder: dirname(resolve(path)), raw });
      }
    }
  }

  environment(variables: Readonly<Record<string, string | undefined>>): void {
    const known = environmentNames();
    for (const [variable, raw] of Object.entries(variables)) {
      if (raw === undefined || !variable.startsWith('IBEX_')) continue;
      const entry = known.names.get(variable);
      if (entry === undefined) {
        // Variables of other tools may start with IBEX_ too; those of our sections may not.
        const section = variable.split('_')[1] ?? '';
        if (!known.sections.has(section)) continue;
        const hint = nearest(variable, [...known.names.keys()]);
        this.problems.push({
          source: `variable ${variable}`,
          detail: `unknown variable${hint === undefined ? '' : `; did you mean ${hint}?`}`,
        });
      } else if (this.keyOf(entry.section, entry.name) !== undefined) {
        this.settings.set(`${entry.section}.${entry.name}`, { source: `variable ${variable}`, baseFolder: process.cwd(), raw });
      }
    }
  }

  flags(flags: Readonly<Record<string, unknown>>): void {
    for (const [flag, raw] of Object.entries(flags)) {
      if (raw === undefined) continue;
      const [section = '', name = ''] = flag.split('.');
      const source = `flag ${flagName(section, name)}`;
      if (this.keyOf(section, name) === undefined) {
        this.problems.push({
          source,
          key: flag,
          detail: Object.hasOwn(this.#tables, section) ? this.#unknownKey(section, name) : this.#unknownSection(section, undefined),
        });
      } else {
        this.settings.set(flag, { source, baseFolder: process.cwd(), raw });
      }
    }
  }

  /** The frozen result; values that could not be converted are problems and stay at their default. */
  result(): Record<string, Record<string, unknown>> {
    const config: Record<string, Record<string, unknown>> = {};
    for (const [section, keys] of Object.entries(this.#tables)) {
      const values: Record<string, unknown> = {};
      for (const [name, key] of Object.entries(keys)) {
        values[propertyName(name, key)] = deepFreeze(this.#value(`${section}.${name}`, key));
      }
      config[section] = Object.freeze(values) as Record<string, unknown>;
    }
    return Object.freeze(config) as typeof config;
  }

  #value(full: string, key: ConfigKey): unknown {
    const setting = this.settings.get(full);
    if (setting !== undefined) {
      const value = key.convert(setting.raw, setting.baseFolder);
      if (value !== undefined) return value;
      this.problems.push({
        source: setting.source,
        line: setting.line,
        key: full,
        detail: `${full} is ${show(setting.raw)}; expected ${key.expected}`,
      });
    }
    return key.convert(key.fallback, '/');
  }

  #unknownSection(section: string, content: unknown): string {
    const isKey = content !== undefined && (typeof content !== 'object' || content === null || Array.isArray(content));
    const home = Object.keys(this.#tables).find((name) => this.keyOf(name, section) !== undefined);
    if (isKey && home !== undefined) return `key ${show(section)} stands outside its section; move it below "[${home}]"`;
    const hint = nearest(section, Object.keys(this.#tables));
    const guess = hint === undefined ? '' : `; did you mean "[${hint}]"?`;
    return `unknown ${isKey ? 'key' : 'section'} ${show(section)}${
      guess === ''
        ? `; expected one of ${Object.keys(this.#tables)
            .map((name) => `"[${name}]"`)
            .join(', ')}`
        : guess
    }`;
  }

  #unknownKey(section: string, name: string): string {
    const keys = Object.keys(this.#tables[section] ?? {});
    const home = Object.keys(this.#tables).find((other) => this.keyOf(other, name) !== undefined);
    const hint = nearest(name, keys);
    if (hint !== undefined) return `unknown key ${show(name)} in [${section}]; did you mean "${hint}"?`;
    if (home !== undefined) return `unknown key ${show(name)} in [${section}]; it belongs to [${home}]`;
    return `unknown key ${show(name)} in [${section}]; expected one of ${keys.join(', ')}`;
  }
}

export function defaultConfigFile(kind: ConfigKind): string {
  return `/etc/ibexfs/${kind}.toml`;
}

/** The command-line flag for a key: listen.port -> --listen-port. */
export function flagName(section: string, name: string): string {
  return `--${section}-${name}`.replaceAll('_', '-');
}

/** @throws ConfigError with every problem found. */
export function loadConfig<Kind extends ConfigKind>(kind: Kind, options: LoadOptions = {}): ConfigOf<Kind> {
  const loader = new Loader(configKinds[kind]);
  const file = options.file === undefined && existsSync(defaultConfigFile(kind)) ? defaultConfigFile(kind) : options.file;
  if (typeof file === 'string') loader.file(file);
  loader.environment(options.environment ?? process.env);
  loader.flags(options.flags ?? {});
  const config = loader.result() as unknown as ConfigOf<Kind>;
  if (loader.problems.length === 0) checkRules(kind, config, loader);
  if (loader.problems.length > 0) throw new ConfigError(loader.problems);
  return config;
}

function checkRules<Kind extends ConfigKind>(kind: Kind, config: ConfigOf<Kind>, loader: Loader): void {
  for (const rule of configRules[kind]) {
    const detail = rule.broken(config);
    if (detail === undefined) continue;
    const setting = loader.settings.get(rule.key);
    loader.problems.push({
      source: setting?.source ?? 'configuration',
      line: setting?.line,
      key: rule.key,
      detail: `${rule.key}: ${detail}`,
    });
  }
}

function readToml(path: string): { document: string; tables: Record<string, unknown> } {
  let document: string;
  try {
    const bytes = readFileSync(path);
    if (bytes.length > FILE_BYTES_MAX)
      throw new ConfigError([{ source: path, detail: `has ${bytes.length} bytes; expected a TOML file of at most ${FILE_BYTES_MAX}` }]);
    document = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([{ source: path, detail: unreadable(error) }], { cause: error });
  }
  try {
    return { document, tables: parse(document, { maxDepth: 8, unsafeKeyBehaviour: 'throw' }) };
  } catch (error) {
    const line = error instanceof TomlError ? error.line : undefined;
    const reason = error instanceof Error ? error.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '') : String(error);
    throw new ConfigError([{ source: path, line, detail: `not valid TOML: ${reason}; correct this line` }], { cause: error });
  }
}

function unreadable(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'no such file; give the right one with --config, or leave --config out for the defaults';
  if (code === 'EACCES') return 'not readable by this user; change its mode or run as another user';
  if (code === 'EISDIR') return 'is a folder; expected a TOML file';
  return error instanceof TypeError ? 'is not UTF-8 text; expected a TOML file' : `cannot be read: ${(error as Error).message}`;
}

function environmentNames(): { names: Map<string, { section: string; name: string }>; sections: Set<string> } {
  const names = new Map<string, { section: string; name: string }>();
  const sections = new Set<string>();
  for (const tables of Object.values(configKinds) as SectionTable[]) {
    for (const [section, keys] of Object.entries(tables)) {
      sections.add(section.toUpperCase());
      for (const name of Object.keys(keys)) names.set(environmentName(section, name), { section, name });
    }
  }
  return { names, sections };
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const item of Object.values(value)) deepFreeze(item);
    Object.freeze(value);
  }
  return value;
}
