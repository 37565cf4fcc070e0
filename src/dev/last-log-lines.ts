/** The end of a daemon's log, for people: what it said before it failed. */
import { open } from 'node:fs/promises';

const TAIL_BYTES = 16 * 1024;
const LINES = 5;

/** A line of pino's JSON as text; other lines as they are. Pure. */
export function readableLine(line: string): string {
  try {
    const { msg, err } = JSON.parse(line) as { msg?: unknown; err?: { message?: unknown } };
    if (typeof msg === 'string') return typeof err?.message === 'string' && !msg.includes(err.message) ? `${msg}: ${err.message}` : msg;
  } catch {
    // Not JSON: what a program prints when it cannot start.
  }
  return line;
}

export async function lastLogLines(file: string): Promise<string[]> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const start = Math.max(0, size - TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, start);
    const lines = buffer
      .toString('utf8', 0, bytesRead)
      .split('\n')
      .filter((line) => line.trim() !== '');
    return lines.slice(-LINES).map(readableLine);
  } finally {
    await handle.close();
  }
}
