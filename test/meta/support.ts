/** Helpers of the metadata tests: a plain CRC-32C, folders that go away, a recording chunk side. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';

const table = new Uint32Array(256).map((_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

export function crc32c(buffer: Uint8Array, seed = 0): number {
  let value = ~seed;
  for (let index = 0; index < buffer.length; index++) value = table[(value ^ buffer[index]!) & 0xff]! ^ (value >>> 8);
  return ~value >>> 0;
}

export const silent = pino({ level: process.env.IBEXFS_TEST_LOG ?? 'silent' });

/** A new folder below the system's temporary one, removed at the end of the test. */
export function testFolder(t: { teardown(done: () => unknown): unknown }): string {
  const folder = mkdtempSync(join(tmpdir(), 'ibexfs-meta-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
