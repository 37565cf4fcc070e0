/** Names of directory entries and extended attributes: what is allowed, and their bytes. */
import { IbexError } from '../wire/errors.js';
import { NAME_BYTES_MAX } from '../wire/generated.js';
import type { Key } from './store/key.js';

/** Each character is its own UTF-8 byte. */
function isAscii(name: string): boolean {
  for (let index = 0; index < name.length; index++) if (name.charCodeAt(index) > 0x7f) return false;
  return true;
}

/** UTF-8 bytes of a name as characters 0 to 255. Lone surrogates have none and are refused. */
function utf8Bytes(name: string, what: string): Key {
  let bytes = name;
  if (name.includes('\0')) throw new IbexError('ERR_INVALID', `${what} ${JSON.stringify(name)} holds a zero byte`);
  if (!isAscii(name)) {
    if (!(name as string & { isWellFormed(): boolean }).isWellFormed())
      throw new IbexError('ERR_INVALID', `${what} ${JSON.stringify(name)} is not valid Unicode`);
    bytes = Buffer.from(name, 'utf8').toString('latin1');
  }
  if (bytes.length > NAME_BYTES_MAX)
    throw new IbexError('ERR_NAME_TOO_LONG', `${what} of ${bytes.length} bytes, at most ${NAME_BYTES_MAX}`);
  if (bytes.length === 0) throw new IbexError('ERR_NOT_FOUND', `${what} is empty`);
  return bytes;
}

/** Bytes of the name of a directory entry. @throws ERR_INVALID, ERR_NAME_TOO_LONG, ERR_NOT_FOUND (empty) */
export function entryNameBytes(name: string): Key {
  const bytes = utf8Bytes(name, 'name');
  if (name === '.' || name === '..' || name.includes('/'))
    throw new IbexError('ERR_INVALID', `name ${JSON.stringify(name)} cannot be that of an entry`);
  return bytes;
}

export function xattrNameBytes(name: string): Key {
  return utf8Bytes(name, 'attribute name');
}

/** The string that the bytes of a key's tail are. */
export function nameFromBytes(bytes: Key): string {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}
