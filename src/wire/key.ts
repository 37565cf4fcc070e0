/**
 * The cluster key: 32 random bytes that every daemon and client proves to know. What is derived from it
 * (session keys, the HTTP token) never reveals it.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { IbexError } from './errors.js';

export const KEY_BYTES = 32;
const HEADER = 'ibex-key-v1';

/** Writes a new random key to `path`, readable by its owner alone. Fails with EEXIST rather than replace a key. */
export async function generateKeyFile(path: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(`${HEADER} ${randomBytes(KEY_BYTES).toString('base64')}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Reads the key in `path`.
 *
 * @throws IbexError ERR_ACCESS when it belongs to another user, or group or others can use it; ERR_INVALID when it
 *   holds no key; ERR_NOT_FOUND
 */
export async function readKeyFile(path: string): Promise<Buffer> {
  let file: FileHandle;
  try {
    // Nonblocking: a pipe in its place must not hold up the start. Links are followed, packages use them.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT')
      throw new IbexError('ERR_NOT_FOUND', `key file ${path}: make one with 'ibex key generate ${path}' or copy the cluster's`);
    throw new IbexError('ERR_ACCESS', `key file ${path}: ${(error as Error).message}`, { cause: error });
  }
  try {
    await requirePrivate(file, path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(256), 0, 256, 0);
    const [header, encoded, ...rest] = buffer.toString('latin1', 0, bytesRead).trim().split(/\s+/);
    const key = Buffer.from(encoded ?? '', 'base64');
    if (header !== HEADER || key.length !== KEY_BYTES || rest.length > 0) {
      throw new IbexError('ERR_INVALID', `key file ${path} does not hold an ibexfs key: expected '${HEADER} <44 base64 characters>'`);
    }
    return key;
  } finally {
    await file.close();
  }
}

/** Whoever owns the file chooses the key, and with it who may enter the cluster. */
async function requirePrivate(file: FileHandle, path: string): Promise<void> {
  const stat = await file.stat();
  const { mode, uid } = stat;
  if (!stat.isFile()) throw new IbexError('ERR_INVALID', `key file ${path} is not a regular file`);
  const self = process.geteuid?.() ?? uid;
  if (uid !== self && uid !== 0) {
    throw new IbexError('ERR_ACCESS', `key file ${path} belongs to user ${uid}, who could replace the key: chown ${self} ${path}`);
  }
  if ((mode & 0o077) !== 0) {
    throw new IbexError('ERR_ACCESS', `key file ${path} has mode ${(mode & 0o777).toString(8)}, others can read it: chmod 600 ${path}`);
  }
}

/** A key of its own for one purpose (HMAC-SHA256 of the purpose's name). */
export function deriveKey(key: Buffer, purpose: string): Buffer {
  return createHmac('sha256', key).update(`ibexfs ${purpose}`).digest();
}

/** Bearer token of mgmtd's HTTP API. */
export function httpToken(key: Buffer): string {
  return deriveKey(key, 'http token').toString('base64url');
}
