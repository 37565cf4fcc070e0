/**
 * What a start does with the log files it finds: entries that LMDB lacks are applied, a tail that a power
 * cut took is given up, and anything else that does not fit is refused, since going on would lose what was
 * promised to be on disk.
 */
import { readFile, unlink } from 'node:fs/promises';
import type { Logger } from 'pino';
import { IbexError } from '../../wire/errors.js';
import type { Crc32c } from '../types.js';
import type { Database } from './database.js';
import type { Key } from './key.js';
import { decodeEntry, decodeLogHeader, findEntry, LOG_HEADER_BYTES, type LogEntry } from './log-entry.js';
import { LogFile, listLogs } from './log-file.js';

export interface RecoveryOptions {
  readonly folder: string;
  readonly logger: Logger;
  readonly crc32c: Crc32c;
  readonly acceptLoss: boolean;
}

interface LogBytes {
  readonly generation: number;
  readonly path: string;
  readonly bytes: Buffer;
}

/** Where reading stopped before the end of the files. */
interface Damage {
  readonly log: LogBytes;
  readonly at: number;
  /** First sequence that cannot be read. */
  readonly sequence: number;
}

interface Replay {
  readonly changes: Map<Key, Buffer | null>;
  readonly sequence: number;
  readonly entries: number;
  readonly damage: Damage | undefined;
}

/** Brings LMDB up to the log. Returns a new log file and the sequence it goes on from; older files are gone. */
export async function recover(database: Database, options: RecoveryOptions): Promise<{ log: LogFile; sequence: number }> {
  const applied = database.applied();
  const logs = await listLogs(options.folder);
  const wanted = logs.filter((log) => log.generation > applied.generation);
  if (!options.acceptLoss) checkComplete(wanted, applied.generation, options.folder);
  const files = await Promise.all(wanted.map(async (log) => ({ ...log, bytes: await readFile(log.path) })));
  const replay = readEntries(files, applied.sequence, options);
  if (replay.damage !== undefined) judge(replay.damage, files, options);

  const last = Math.max(applied.generation, ...logs.map((log) => log.generation));
  // The new file is durable before LMDB says that the older ones are obsolete: some file always follows the applied ones.
  const log = await LogFile.create(options.folder, last + 1, options.crc32c);
  await database.apply(replay.changes, { sequence: replay.sequence, generation: last });
  for (const old of logs) await unlink(old.path);
  if (replay.entries > 0) options.logger.info({ entries: replay.entries, sequence: replay.sequence }, 'replayed the metadata log');
  return { log, sequence: replay.sequence };
}

function checkComplete(logs: readonly { generation: number; path: string }[], applied: number, folder: string): void {
  const advice = `restore the missing file of ${folder}, or start once with --accept-loss to go on without it`;
  let expected = applied + 1;
  for (const log of logs) {
    if (log.generation !== expected)
      throw new IbexError('ERR_IO', `metadata log file ${expected} is missing before ${log.path}; ${advice}`);
    expected++;
  }
  if (logs.length === 0 && applied > 0)
    throw new IbexError('ERR_IO', `metadata log file ${expected} is missing: the database is at ${applied}; ${advice}`);
}

function readEntries(files: readonly LogBytes[], appliedSequence: number, options: RecoveryOptions): Replay {
  const changes = new Map<Key, Buffer | null>();
  let sequence = appliedSequence;
  let entries = 0;
  for (const file of files) {
    if (decodeLogHeader(file.bytes, options.crc32c) !== file.generation) {
      return { changes, sequence, entries, damage: { log: file, at: 0, sequence: sequence + 1 } };
    }
    let at = LOG_HEADER_BYTES;
    while (at < file.bytes.length) {
      const entry = decodeEntry(file.bytes, at, options.crc32c);
      if (entry === undefined || entry.sequence > sequence + 1) {
        return { changes, sequence, entries, damage: { log: file, at, sequence: sequence + 1 } };
      }
      at = entry.end;
      if (entry.sequence <= sequence) continue;
      for (const change of entry.changes) changes.set(change.key, change.value);
      sequence = entry.sequence;
      entries++;
    }
  }
  return { changes, sequence, entries, damage: undefined };
}

/** Lets a lost tail pass with a log line and throws for a damage below what was durable. */
function judge(damage: Damage, files: readonly LogBytes[], options: RecoveryOptions): void {
  const after = entriesAfter(damage, files, options.crc32c);
  const lost = Math.max(damage.sequence - 1, ...after.map((entry) => entry.sequence)) - damage.sequence + 1;
  const where = { file: damage.log.path, offset: damage.at, sequence: damage.sequence, laterEntries: after.length };
  if (after.some((entry) => entry.durable >= damage.sequence)) {
    const what = `metadata log ${damage.log.path} is damaged at byte ${damage.at} (entry ${damage.sequence}), and later entries say that it was on disk`;
    if (!options.acceptLoss)
      throw new IbexError(
        'ERR_IO',
        `${what}; restore the file, or start once with --accept-loss to give up entry ${damage.sequence} and the ${lost} after it`,
      );
    options.logger.error({ ...where, lost }, `${what}; going on without it as told`);
    return;
  }
  options.logger.warn(where, 'cut a torn tail off the metadata log: the entry there was never acknowledged, or a power cut took it');
}

function entriesAfter(damage: Damage, files: readonly LogBytes[], crc32c: Crc32c): LogEntry[] {
  const found: LogEntry[] = [];
  for (const file of files.slice(files.indexOf(damage.log))) {
    let at = file === damage.log ? damage.at : 0;
    for (let entry = findEntry(file.bytes, at, crc32c); entry !== undefined; entry = findEntry(file.bytes, at, crc32c)) {
      found.push(entry);
      at = entry.end;
    }
  }
  return found;
}
