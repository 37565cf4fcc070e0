/** Golden vectors: bytes that the TypeScript and the C++ tests both read. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import * as wire from '../../src/wire/generated.js';

interface Vector {
  struct: string;
  fields: Record<string, number>;
  hex: string;
}

const vectors = JSON.parse(readFileSync(new URL('../../../test/wire/vectors.json', import.meta.url), 'utf8')) as Vector[];
const functions = wire as unknown as Record<string, unknown>;

for (const { struct, fields, hex } of vectors) {
  t.test(`${struct} has the bytes of its golden vector`, async (t) => {
    const bytes = Buffer.alloc(functions[`${struct}Bytes`] as number);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    (functions[`write${struct}`] as (view: DataView, at: number, value: object) => void)(view, 0, fields);
    t.equal(bytes.toString('hex'), hex);
    const read = (functions[`read${struct}`] as (view: DataView, at: number) => object)(view, 0);
    t.match(read, fields);
  });
}
