import fc from 'fast-check';
import t from 'tap';
import { decodeBody, encodeBody } from '../../src/wire/codec.js';
import { IbexError } from '../../src/wire/errors.js';
import type { Fid } from '../../src/wire/fid.js';
import { catalogue, client, meta, mgmt, peer } from '../../src/wire/messages.js';
import { checks, refusal } from '../support/properties.js';

const attributes = fc.record(
  {
    fid: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    mode: fc.integer({ min: 0, max: 0xffffffff }),
    links: fc.nat(),
    uid: fc.nat(),
    gid: fc.nat(),
    size: fc.maxSafeNat(),
    device: fc.nat(),
    atime: fc.maxSafeInteger(),
    atimeNs: fc.nat(999_999_999),
    mtime: fc.maxSafeInteger(),
    mtimeNs: fc.nat(999_999_999),
    ctime: fc.maxSafeInteger(),
    ctimeNs: fc.nat(999_999_999),
    change: fc.maxSafeNat(),
  },
  { noNullPrototype: true },
);

t.test('what was encoded decodes to the same', async (t) => {
  checks(
    t,
    fc.property(attributes, (value) => {
      const body = Buffer.from(encodeBody(meta.lookup.response, { attributes: value }));
      t.strictSame(decodeBody(meta.lookup.response, body, 0, body.length), { attributes: value });
    }),
  );
});

t.test('strings of any characters, lists and optional fields survive', async (t) => {
  const entry = fc.record(
    {
      name: fc.string({ minLength: 1, maxLength: 255, unit: 'binary' }),
      fid: fc.integer({ min: 1 }),
      type: fc.nat(),
      cookie: fc.nat(),
      attributes: fc.option(attributes, { nil: undefined }),
    },
    { requiredKeys: ['name', 'fid', 'type', 'cookie'], noNullPrototype: true },
  );
  checks(
    t,
    fc.property(fc.array(entry, { maxLength: 50 }), fc.boolean(), (entries, end) => {
      const plain = entries
        .filter((one) => one.name.length <= 255 && Buffer.from(one.name).toString() === one.name)
        .map((one) => (one.attributes === undefined ? { name: one.name, fid: one.fid, type: one.type, cookie: one.cookie } : one));
      const body = Buffer.from(encodeBody(meta.readDirectory.response, { entries: plain, end }));
      t.strictSame(decodeBody(meta.readDirectory.response, body, 0, body.length), { entries: plain, end });
    }),
  );
});

t.test('bytes', async (t) => {
  const value = Buffer.from([0, 255, 128, 7]);
  const body = Buffer.from(encodeBody(meta.getXattr.response, { value }));
  const decoded = decodeBody(meta.getXattr.response, body, 0, body.length) as { value: Buffer };
  t.ok(value.equals(decoded.value));
  t.throws(() => encodeBody(meta.getXattr.response, { value: 'text' }), refusal('ERR_BAD_REQUEST', /expected bytes/));
});

t.test('a value that the schema does not allow is refused with the field named', async (t) => {
  const lookup = (request: unknown) => () => encodeBody(meta.lookup.request, request);
  t.throws(lookup({ parent: 0, name: 'x' }), refusal('ERR_BAD_REQUEST', /parent/));
  t.throws(lookup({ parent: 1, name: '' }), refusal('ERR_BAD_REQUEST', /name/));
  t.throws(lookup({ parent: 1.5, name: 'x' }), refusal('ERR_BAD_REQUEST'));
  t.throws(lookup({ parent: 1 }), refusal('ERR_BAD_REQUEST', /name/));
  t.throws(lookup({ parent: 1, name: 'n'.repeat(256) }), refusal('ERR_BAD_REQUEST'));
});

t.test('fields that a newer peer added are stepped over', async (t) => {
  const body = Buffer.from([0x94, 0x05, 0xa1, 0x78, 0x93, 0x01, 0xc0, 0xa2, 0x61, 0x62, 0xc4, 0x01, 0x00]);
  t.strictSame(decodeBody(meta.getXattr.request, body, 0, body.length), { fid: 5, name: 'x' });
});

t.test('any bytes either decode or are refused, and never take memory by a claimed length', async (t) => {
  const messages = [...catalogue.values()];
  checks(
    t,
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(messages.length - 1), (bytes, index) => {
      const message = messages[index] as (typeof messages)[number];
      const body = Buffer.from(bytes);
      try {
        decodeBody(message.request, body, 0, body.length);
      } catch (error) {
        if (!(error instanceof IbexError) || error.kind !== 'ERR_BAD_REQUEST') throw error;
      }
    }),
    { numRuns: 5000 },
  );
  const huge = Buffer.from([0x91, 0xdd, 0x7f, 0xff, 0xff, 0xff]);
  t.throws(() => decodeBody(meta.release.request, huge, 0, huge.length), refusal('ERR_BAD_REQUEST'));
});

t.test('every truncation of a valid body is refused', async (t) => {
  const body = Buffer.from(
    encodeBody(meta.create.request, {
      parent: 7 as Fid,
      name: 'file',
      mode: 0o100644,
      uid: 1,
      gid: 2,
      exclusive: true,
      layout: { stripeSize: 65536 },
    }),
  );
  for (let length = 0; length < body.length; length++) {
    t.throws(() => decodeBody(meta.create.request, body, 0, length), refusal('ERR_BAD_REQUEST'), `${length} of ${body.length} bytes`);
  }
  const longer = Buffer.concat([body, Buffer.from([0])]);
  t.throws(() => decodeBody(meta.create.request, longer, 0, longer.length), { message: /left over/ });
});

t.test('every message of the catalogue has a codec and an operation of its own', async (t) => {
  const all = [...Object.values(meta), ...Object.values(mgmt), ...Object.values(client), ...Object.values(peer)];
  t.equal(catalogue.size, all.length);
  for (const message of all) t.throws(() => decodeBody(message.request, Buffer.alloc(0), 0, 0), refusal('ERR_BAD_REQUEST'), message.name);
});
