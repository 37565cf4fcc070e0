/**
 * What one configuration key is: type, bounds, default, help. Everything else (checking, the documented
 * files in config/, environment and flag overrides, the types of the result) follows from it.
 */
import { isAbsolute, resolve } from 'node:path';
import Type, { type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { parseAddress, parseDuration, parseSize } from './units.js';

/** `Suffix` is appended to the property name of the result, so that units stay visible: interval -> intervalMs. */
export interface ConfigKey<Result = unknown, Suffix extends string = string> {
  readonly schema: TSchema;
  readonly suffix: Suffix;
  /** Completes "expected ...". */
  readonly expected: string;
  /** As it is written in TOML; it takes the same way as a user's value. */
  readonly fallback: string | number | boolean | readonly string[];
  readonly help: string;
  /** From a TOML value, or from the text of a flag or variable; undefined when it is not one. */
  convert(raw: unknown, baseFolder: string): Result | undefined;
}

const addressSchema = Type.Object({ host: Type.String({ minLength: 1 }), port: Type.Integer({ minimum: 1, maximum: 65535 }) });

function key<Schema extends TSchema, Suffix extends string>(
  schema: Schema,
  suffix: Suffix,
  expected: string,
  fallback: ConfigKey['fallback'],
  help: string,
  parse: (raw: unknown, baseFolder: string) => unknown,
): ConfigKey<Static<Schema>, Suffix> {
  return {
    schema,
    suffix,
    expected,
    fallback,
    help,
    convert: (raw, baseFolder) => {
      const value = parse(raw, baseFolder);
      return Value.Check(schema, value) ? (value as Static<Schema>) : undefined;
    },
  };
}

const numeric = (raw: unknown): unknown => (typeof raw === 'string' && /^-?[0-9]{1,15}$/.test(raw.trim()) ? Number(raw) : raw);
/** A list is a TOML array, or comma-separated text in a flag or variable. */
const list = (raw: unknown): unknown[] => {
  if (Array.isArray(raw)) return raw;
  if (typeof raw !== 'string') return [undefined];
  return raw
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
};

export function text(fallback: string, help: string, pattern = '^[^\\n]*$', expected = 'text in quotes') {
  return key(Type.String({ maxLength: 255, pattern }), '', expected, fallback, help, (raw) => raw);
}

/** One of several words. */
export function choice<const Word extends string>(words: readonly Word[], fallback: NoInfer<Word>, help: string) {
  const schema = Type.Unsafe<Word>(Type.Union(words.map((word) => Type.Literal(word))));
  return key(schema, '', `one of ${words.map((word) => `"${word}"`).join(', ')}`, fallback, help, (raw) => raw);
}

export function toggle(fallback: boolean, help: string) {
  const words: Readonly<Record<string, boolean>> = { true: true, false: false };
  return key(Type.Boolean(), '', 'true or false', fallback, help, (raw) =>
    typeof raw === 'string' && Object.hasOwn(words, raw) ? words[raw] : raw,
  );
}

export function integer(minimum: number, maximum: number, fallback: number, help: string) {
  return key(Type.Integer({ minimum, maximum }), '', `a whole number from ${minimum} to ${maximum}`, fallback, help, numeric);
}

/** Bytes; bounds are inclusive and given as text. */
export function size(minimum: string, maximum: string, fallback: string, help: string) {
  const schema = Type.Integer({ minimum: parseSize(minimum) ?? Number.NaN, maximum: parseSize(maximum) ?? Number.NaN });
  return key(schema, 'Bytes', `a size such as "${fallback}", from ${minimum} to ${maximum}`, fallback, help, (raw) =>
    typeof raw === 'string' ? parseSize(raw) : raw,
  );
}

/** Milliseconds; bounds are inclusive and given as text. */
export function duration(minimum: string, maximum: string, fallback: string, help: string) {
  const schema = Type.Integer({ minimum: parseDuration(minimum) ?? Number.NaN, maximum: parseDuration(maximum) ?? Number.NaN });
  return key(schema, 'Ms', `a duration with its unit such as "${fallback}", from ${minimum} to ${maximum}`, fallback, help, (raw) =>
    typeof raw === 'string' ? parseDuration(raw) : undefined,
  );
}

const absolute = (raw: unknown, baseFolder: string): unknown => {
  if (typeof raw !== 'string' || raw === '' || raw.includes('\0')) return raw;
  return isAbsolute(raw) ? resolve(raw) : resolve(baseFolder, raw);
};

/** A path; relative ones start at the folder of the configuration file (of the process, for flags and variables). */
export function path(fallback: string, help: string) {
  return key(Type.String({ minLength: 1, maxLength: 4000 }), '', 'a path in quotes', fallback, help, absolute);
}

/** A path, or "" for none. */
export function optionalPath(help: string) {
  return key(Type.String({ maxLength: 4000 }), '', 'a path in quotes, or ""', '', help, absolute);
}

export function paths(fallback: readonly string[], help: string) {
  const schema = Type.Array(Type.String({ minLength: 1, maxLength: 4000 }), { minItems: 1, maxItems: 256, uniqueItems: true });
  return key(schema, '', 'a list of different paths such as ["/data/1", "/data/2"]', fallback, help, (raw, base) =>
    list(raw).map((item) => absolute(item, base)),
  );
}

/** A host name or numeric address without a port. */
export function host(fallback: string, help: string) {
  return key(
    Type.String({ pattern: '^[A-Za-z0-9_.:%-]{1,255}$' }),
    '',
    'a host name or numeric address without a port',
    fallback,
    help,
    (raw) => raw,
  );
}

/** "host:port" strings; the result is parsed. */
export function addresses(fallback: readonly string[], minimum: number, help: string) {
  const schema = Type.Readonly(Type.Array(addressSchema, { minItems: minimum, maxItems: 16 }));
  return key(schema, '', 'a list of "host:port"', fallback, help, (raw) =>
    list(raw).map((item) => (typeof item === 'string' ? parseAddress(item) : undefined)),
  );
}
