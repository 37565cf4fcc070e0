/** Copies the bytes of one open file into another, through a few buffers of this process. */
import type { FileData } from './file-data.js';
import { type Piece, pieces, runWindow } from './window.js';

const PIECE_BYTES = 4 * 2 ** 20;
const PIECES_IN_FLIGHT = 4;

export async function copyData(from: FileData, to: FileData, signal?: AbortSignal): Promise<void> {
  const idle: Buffer[] = [];
  await runWindow(pieces(0, from.size, PIECE_BYTES), PIECES_IN_FLIGHT, async ({ offset, length }: Piece) => {
    signal?.throwIfAborted();
    const buffer = idle.pop() ?? Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, from.size));
    const bytes = await from.read(buffer.subarray(0, Math.min(length, buffer.length)), offset);
    await to.write(buffer.subarray(0, bytes), offset);
    idle.push(buffer);
  });
}
