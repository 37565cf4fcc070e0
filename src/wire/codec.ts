/**
 * Bodies of RPC frames: msgpack, compiled from the catalogue's schemas.
 *
 * An object travels as an array of its fields in schema order (absent optional fields as nil, trailing
 * ones left out), so no key is sent and a newer peer may add optional fields at the end. Decoding checks
 * while it reads: a type, range or length that the schema does not allow, and any length beyond the body,
 * ends in ERR_BAD_REQUEST before memory is taken for it.
 *
 * Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
import type { TSchema } from 'typebox';
import { IbexError } from './errors.js';
import { RPC_BODY_BYTES_MAX } from './generated.js';

/** Nesting is bounded by the schemas. `Any` stands for bytes. */
interface Codec {
  write(value: unknown): void;
  read(): unknown;
}

let buffer: Buffer = Buffer.allocUnsafe(64 * 1024);
let at = 0;
let end = 0;
let path = '';

const fail = (what: string): never => {
  throw new IbexError('ERR_BAD_REQUEST', `${path}: ${what}`);
};

function room(bytes: number): void {
  if (at + bytes <= end) return;
  if (end >= RPC_BODY_BYTES_MAX) fail(`message is larger than ${RPC_BODY_BYTES_MAX} bytes`);
  const larger = Buffer.allocUnsafe(Math.min(RPC_BODY_BYTES_MAX, Math.max(end * 2, at + bytes)));
  buffer.copy(larger, 0, 0, at);
  buffer = larger;
  end = larger.length;
  room(bytes);
}

function need(bytes: number): void {
  if (at + bytes > end) fail('body ends early');
}

function writeInteger(value: number): void {
  room(9);
  if (value >= 0 && value < 0x80) buffer[at++] = value;
  else if (value >= 0 && value <= 0xffffffff) {
    buffer[at++] = 0xce;
    buffer[at++] = value >>> 24;
    buffer[at++] = value >>> 16;
    buffer[at++] = value >>> 8;
    buffer[at++] = value;
  } else {
    // int64, two's complement by halves: integers are safe ones.
    const high = Math.floor(value / 4294967296);
    const low = value >>> 0;
    buffer[at++] = 0xd3;
    buffer[at++] = high >>> 24;
    buffer[at++] = high >>> 16;
    buffer[at++] = high >>> 8;
    buffer[at++] = high;
    buffer[at++] = low >>> 24;
    buffer[at++] = low >>> 16;
    buffer[at++] = low >>> 8;
    buffer[at++] = low;
  }
}

function readInteger(): number {
  need(1);
  const type = buffer[at++] as number;
  if (type < 0x80) return type;
  if (type >= 0xe0) return type - 256;
  switch (type) {
    case 0xcc:
      need(1);
      return buffer[at++] as number;
    case 0xcd:
      need(2);
      at += 2;
      return buffer.readUInt16BE(at - 2);
    case 0xce:
      need(4);
      at += 4;
      return (
        (buffer[at - 4] as number) * 16777216 +
        (((buffer[at - 3] as number) << 16) | ((buffer[at - 2] as number) << 8) | (buffer[at - 1] as number))
      );
    case 0xd0:
      need(1);
      return buffer.readInt8(at++);
    case 0xd1:
      need(2);
      at += 2;
      return buffer.readInt16BE(at - 2);
    case 0xd2:
      need(4);
      at += 4;
      return buffer.readInt32BE(at - 4);
    case 0xcf:
      need(8);
      at += 8;
      return buffer.readUInt32BE(at - 8) * 4294967296 + buffer.readUInt32BE(at - 4);
    case 0xd3:
      need(8);
      at += 8;
      return buffer.readInt32BE(at - 8) * 4294967296 + buffer.readUInt32BE(at - 4);
    default:
      return fail(`expected an integer, got type 0x${type.toString(16)}`);
  }
}

/** Length that follows one of three type bytes (8, 16, 32 bit), or lies inside a short form. */
function readLength(shortBase: number, shortMask: number, types: readonly [number, number, number], what: string): number {
  need(1);
  const type = buffer[at++] as number;
  if (shortMask !== 0 && type >= shortBase && type <= shortBase + shortMask) return type - shortBase;
  const width = types.indexOf(type);
  if (width < 0) fail(`expected ${what}, got type 0x${type.toString(16)}`);
  const bytes = 1 << width;
  need(bytes);
  const length = buffer.readUIntBE(at, bytes);
  at += bytes;
  return length;
}

function writeLength(length: number, shortBase: number, shortMax: number, types: readonly [number, number, number]): void {
  room(5);
  if (length <= shortMax) buffer[at++] = shortBase + length;
  else if (length <= 0xff && types[0] !== 0) {
    buffer[at++] = types[0];
    buffer[at++] = length;
  } else if (length <= 0xffff) {
    buffer[at++] = types[1];
    at = buffer.writeUInt16BE(length, at);
  } else {
    buffer[at++] = types[2];
    at = buffer.writeUInt32BE(length, at);
  }
}

const stringTypes = [0xd9, 0xda, 0xdb] as const;
const bytesTypes = [0xc4, 0xc5, 0xc6] as const;
const arrayTypes = [0, 0xdc, 0xdd] as const;

function writeString(value: string): void {
  const length = Buffer.byteLength(value);
  writeLength(length, 0xa0, 31, stringTypes);
  room(length);
  if (length === value.length && length < 24) for (let i = 0; i < length; i++) buffer[at + i] = value.charCodeAt(i);
  else buffer.write(value, at, length, 'utf8');
  at += length;
}

function readString(lengthMax: number): string {
  const length = readLength(0xa0, 31, stringTypes, 'a string');
  if (length > lengthMax * 4) fail(`string of ${length} bytes is too long`);
  need(length);
  at += length;
  return buffer.toString('utf8', at - length, at);
}

function writeBytes(value: Uint8Array): void {
  room(5);
  if (value.length <= 0xff) {
    buffer[at++] = bytesTypes[0];
    buffer[at++] = value.length;
  } else {
    buffer[at++] = bytesTypes[2];
    at = buffer.writeUInt32BE(value.length, at);
  }
  room(value.length);
  buffer.set(value, at);
  at += value.length;
}

function readBytes(): Buffer {
  const length = readLength(0, 0, bytesTypes, 'bytes');
  need(length);
  at += length;
  return Buffer.from(buffer.subarray(at - length, at));
}

/** The parts of a TypeBox schema (which is JSON Schema) that bodies are made of. */
interface SchemaShape {
  type?: string;
  const?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  maxItems?: number;
  minItems?: number;
  items?: TSchema;
  anyOf?: readonly TSchema[];
  properties?: Record<string, TSchema>;
  required?: readonly string[];
}

function integerCodec(shape: SchemaShape): Codec {
  const minimum = shape.minimum ?? Number.MIN_SAFE_INTEGER;
  const maximum = shape.maximum ?? Number.MAX_SAFE_INTEGER;
  const check = (value: unknown): number =>
    Number.isInteger(value) && (value as number) >= minimum && (value as number) <= maximum
      ? (value as number)
      : fail(`expected an integer from ${minimum} to ${maximum}, got ${String(value)}`);
  return { write: (value) => writeInteger(check(value)), read: () => check(readInteger()) };
}

function stringCodec(shape: SchemaShape): Codec {
  const minLength = shape.minLength ?? 0;
  const maxLength = shape.maxLength ?? 65536;
  const check = (value: unknown): string =>
    typeof value === 'string' && value.length >= minLength && value.length <= maxLength
      ? value
      : fail(`expected a string of ${minLength} to ${maxLength} characters`);
  return { write: (value) => writeString(check(value)), read: () => check(readString(maxLength)) };
}

const booleanCodec: Codec = {
  write(value) {
    room(1);
    buffer[at++] = value === true ? 0xc3 : value === false ? 0xc2 : fail('expected a boolean');
  },
  read() {
    need(1);
    const type = buffer[at++];
    return type === 0xc3 ? true : type === 0xc2 ? false : fail('expected a boolean');
  },
};

function literalsCodec(values: readonly unknown[]): Codec {
  const check = (value: unknown): string =>
    values.includes(value) ? (value as string) : fail(`expected one of ${values.join(', ')}, got ${String(value)}`);
  return { write: (value) => writeString(check(value)), read: () => check(readString(64)) };
}

const bytesCodec: Codec = {
  write: (value) => (value instanceof Uint8Array ? writeBytes(value) : fail('expected bytes')),
  read: readBytes,
};

function arrayCodec(shape: SchemaShape): Codec {
  const item = compile(shape.items as TSchema);
  const minimum = shape.minItems ?? 0;
  const maximum = shape.maxItems ?? RPC_BODY_BYTES_MAX;
  return {
    write(value) {
      if (!Array.isArray(value) || value.length < minimum || value.length > maximum)
        fail(`expected an array of ${minimum} to ${maximum} items`);
      const items = value as unknown[];
      writeLength(items.length, 0x90, 15, arrayTypes);
      for (const entry of items) item.write(entry);
    },
    read() {
      const length = readLength(0x90, 15, arrayTypes, 'an array');
      if (length < minimum || length > maximum) fail(`expected an array of ${minimum} to ${maximum} items, got ${length}`);
      need(length); // every item takes a byte at least
      const items: unknown[] = [];
      for (let i = 0; i < length; i++) items.push(item.read());
      return items;
    },
  };
}

function objectCodec(shape: SchemaShape): Codec {
  const required = new Set(shape.required ?? []);
  const names = Object.keys(shape.properties ?? {});
  const fields = names.map((name) => ({
    name,
    optional: !required.has(name),
    codec: compile((shape.properties as Record<string, TSchema>)[name] as TSchema),
  }));
  const requiredCount = fields.findLastIndex((field) => !field.optional) + 1;
  return {
    write(value) {
      if (typeof value !== 'object' || value === null) fail('expected an object');
      const object = value as Record<string, unknown>;
      let count = fields.length;
      while (count > requiredCount && object[(fields[count - 1] as { name: string }).name] === undefined) count--;
      writeLength(count, 0x90, 15, arrayTypes);
      for (let i = 0; i < count; i++) {
        const field = fields[i] as (typeof fields)[number];
        const part = object[field.name];
        path = field.name;
        if (part !== undefined) field.codec.write(part);
        else if (field.optional) {
          room(1);
          buffer[at++] = 0xc0;
        } else fail('field is missing');
      }
    },
    read() {
      const count = readLength(0x90, 15, arrayTypes, 'an array of fields');
      if (count < requiredCount) fail(`expected ${requiredCount} fields at least, got ${count}`);
      const object: Record<string, unknown> = {};
      for (let i = 0; i < count; i++) {
        const field = fields[i];
        if (field === undefined) {
          skip(4); // a field that a newer peer added
          continue;
        }
        path = field.name;
        if (field.optional && buffer[at] === 0xc0 && at < end) at++;
        else object[field.name] = field.codec.read();
      }
      return object;
    },
  };
}

/** Steps over one value of any type, at most `depth` levels deep. */
function skip(depth: number): void {
  if (depth < 0) fail('value is nested too deep');
  need(1);
  const type = buffer[at] as number;
  if (type < 0x80 || type >= 0xe0 || (type >= 0xcc && type <= 0xd3 && type !== 0xca && type !== 0xcb)) readInteger();
  else if (type === 0xc0 || type === 0xc2 || type === 0xc3) at++;
  else if ((type >= 0xa0 && type < 0xc0) || (type >= 0xd9 && type <= 0xdb)) readString(RPC_BODY_BYTES_MAX);
  else if (type >= 0xc4 && type <= 0xc6) {
    const length = readLength(0, 0, bytesTypes, 'bytes');
    need(length);
    at += length;
  } else {
    const length = readLength(0x90, 15, arrayTypes, 'a known type');
    need(length);
    for (let i = 0; i < length; i++) skip(depth - 1);
  }
}

const compiled = new WeakMap<object, Codec>();

function compile(schema: TSchema): Codec {
  const known = compiled.get(schema);
  if (known !== undefined) return known;
  const shape = schema as SchemaShape;
  let codec: Codec;
  if (shape.anyOf !== undefined) codec = literalsCodec(shape.anyOf.map((member) => (member as SchemaShape).const));
  else if (shape.const !== undefined) codec = literalsCodec([shape.const]);
  else if (shape.type === 'integer') codec = integerCodec(shape);
  else if (shape.type === 'string') codec = stringCodec(shape);
  else if (shape.type === 'boolean') codec = booleanCodec;
  else if (shape.type === 'array') codec = arrayCodec(shape);
  else if (shape.type === 'object') codec = objectCodec(shape);
  else if (shape.type === undefined) codec = bytesCodec;
  else throw new Error(`codec: schema type ${shape.type} has no msgpack form here`);
  compiled.set(schema, codec);
  return codec;
}

/**
 * Encodes a body. The result is a view of a scratch buffer that the next encode overwrites: use or copy it at once.
 *
 * @throws IbexError ERR_BAD_REQUEST when the value does not fit the schema or 1 MiB
 */
export function encodeBody(schema: TSchema, value: unknown): Uint8Array {
  at = 0;
  end = buffer.length;
  path = 'body';
  compile(schema).write(value);
  return buffer.subarray(0, at);
}

/**
 * Decodes the body that lies in source[start, stop).
 *
 * @throws IbexError ERR_BAD_REQUEST naming the field that is wrong
 */
export function decodeBody(schema: TSchema, source: Buffer, start: number, stop: number): unknown {
  const scratch = buffer;
  buffer = source;
  at = start;
  end = stop;
  path = 'body';
  try {
    const value = compile(schema).read();
    if (at !== end) fail(`${end - at} bytes are left over`);
    return value;
  } finally {
    buffer = scratch;
  }
}
