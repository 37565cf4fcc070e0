import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { IbexError } from '../../src/wire/errors.js';
import { FileIoOperation } from '../../src/wire/generated.js';
import { LocalCluster } from './local-cluster.js';

t.test('any chunks in, the same bytes out, whatever the sizes and windows', async (t) => {
  const { fs, open } = (await LocalCluster.start(t)).fileSystem();
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { maxLength: 20 });
  const size = fc.integer({ min: 1, max: 4000 });
  const window = fc.integer({ min: 1, max: 6 });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(chunks, size, size, window, async (parts, writeSize, readSize, inFlight) => {
      const path = `/f${run++}`;
      await pipeline(
        Readable.from(parts.map((part) => Buffer.from(part))),
        fs.createWriteStream(path, { highWaterMark: writeSize, writeBehind: inFlight }),
      );
      const got = await Readable.from(fs.createReadStream(path, { highWaterMark: readSize, readAhead: inFlight })).toArray();
      return Buffer.concat(got as Buffer[]).equals(Buffer.concat(parts));
    }),
    { numRuns: 40 },
  );
  t.equal(open.count, 0, 'every handle was closed');
});

t.test('ranges', async (t) => {
  const { fs } = (await LocalCluster.start(t)).fileSystem();
  await fs.writeFile('/f', '0123456789');
  const read = async (options: object): Promise<string> =>
    Buffer.concat((await fs.createReadStream('/f', options).toArray()) as Buffer[]).toString();
  t.equal(await read({ start: 3 }), '3456789');
  t.equal(await read({ start: 3, end: 5 }), '345');
  t.equal(await read({ start: 3, end: 5, highWaterMark: 2 }), '345');
  t.equal(await read({ start: 20 }), '');
  t.equal(await read({ end: 99, highWaterMark: 3 }), '0123456789');
  await pipeline(Readable.from(['ab']), fs.createWriteStream('/f', { flags: 'r+', start: 4 }));
  t.equal(await fs.readFile('/f', 'utf8'), '0123ab6789');
  await pipeline(Readable.from(['end']), fs.createWriteStream('/f', { flags: 'a' }));
  t.equal(await fs.readFile('/f', 'utf8'), '0123ab6789end');
});

t.test('a consumer that pauses holds no more than the window', async (t) => {
  const { fs, files } = (await LocalCluster.start(t)).fileSystem();
  await fs.writeFile('/f', randomBytes(100_000));
  files.operations.length = 0;
  const stream = fs.createReadStream('/f', { highWaterMark: 1000, readAhead: 4 });
  stream.once('readable', () => {});
  await pause(50);
  t.ok(files.operations.length <= 6, `${files.operations.length} requests were sent ahead`);
  t.equal(files.inFlightMax, 4, 'several at once');
  stream.destroy();
  await new Promise((resolve) => stream.once('close', resolve));
  t.equal(files.openSlots, 0);
});

t.test('small chunks are gathered, and one that stays alone leaves soon', async (t) => {
  const { fs, files } = (await LocalCluster.start(t)).fileSystem();
  const stream = fs.createWriteStream('/f', { highWaterMark: 10_000 });
  stream.write('first');
  await pause(30);
  t.equal(files.operations.filter(({ operation }) => operation === FileIoOperation.write).length, 1, 'not held back');
  for (let i = 0; i < 1000; i++) stream.write(Buffer.alloc(100));
  await new Promise((resolve) => stream.end(resolve));
  const writes = files.operations.filter(({ operation }) => operation === FileIoOperation.write);
  t.ok(writes.length < 20, `${writes.length} requests for 1,001 chunks`);
  t.equal((await fs.stat('/f')).size, 100_005);
});

t.test('a failure reaches the producer, and the handle is closed', async (t) => {
  const { fs, files } = (await LocalCluster.start(t)).fileSystem();
  files.failWrites = new IbexError('ERR_NO_SPACE', 'target 103');
  const endless = async function* (): AsyncGenerator<Buffer> {
    for (;;) yield Buffer.alloc(5000);
  };
  await t.rejects(pipeline(endless(), fs.createWriteStream('/f', { highWaterMark: 1000 })), {
    code: 'ENOSPC',
    syscall: 'write',
    path: '/f',
  });
  t.equal(files.openSlots, 0);
  await t.rejects(fs.createReadStream('/missing').toArray(), { code: 'ENOENT', syscall: 'open' });
});

t.test('an abort ends a stream', async (t) => {
  const { fs, files } = (await LocalCluster.start(t)).fileSystem();
  await fs.writeFile('/f', Buffer.alloc(50_000));
  const controller = new AbortController();
  const stream = fs.createReadStream('/f', { highWaterMark: 100, signal: controller.signal });
  await t.rejects(
    (async () => {
      for await (const _chunk of stream) controller.abort();
    })(),
    { name: 'AbortError' },
  );
  await pause(10);
  t.equal(files.openSlots, 0);
});
