/** From a path and flags to an open file: which RPCs, and what to do where a symbolic link or a directory is in the way. */
import { constants } from 'node:fs';
import { IbexError } from '../wire/errors.js';
import type { Fid } from '../wire/fid.js';
import { type Attributes, type LayoutDefaults, meta } from '../wire/messages.js';
import type { ClientCore } from './core.js';
import type { OpenIntent } from './flags.js';
import type { OpenFile } from './open-files.js';
import type { Paths, Place } from './paths.js';
import type { Identity } from './permission.js';
import type { LayoutOptions } from './types.js';
import { walk } from './walk.js';

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK } = constants;

export interface Opener {
  readonly core: ClientCore;
  readonly paths: Paths;
  readonly identity: Identity;
}

export interface NewFile {
  /** Permission bits for a file that is created. */
  readonly mode: number;
  readonly layout: LayoutOptions | undefined;
  readonly signal: AbortSignal | undefined;
}

/** write: how the metadata server counts this open, which its release must repeat. */
export interface Opened {
  readonly file: OpenFile;
  readonly write: boolean;
}

export async function openPath(opener: Opener, path: string, intent: OpenIntent, file: NewFile): Promise<Opened> {
  const place = await opener.paths.place(path, file.signal);
  if (intent.create && intent.directory) throw new IbexError('ERR_INVALID', 'O_CREAT with O_DIRECTORY');
  if (intent.create && (place.mustBeDirectory || place.name === '' || place.name === '..')) throw new IbexError('ERR_IS_DIRECTORY');
  if (intent.create) {
    try {
      return await create(opener, place, intent, file);
    } catch (error) {
      // Something that is no regular file has the name: a link may lead on, and so may have been meant.
      const inTheWay = error instanceof IbexError && ['ERR_EXISTS', 'ERR_LOOP', 'ERR_INVALID', 'ERR_NOT_SUPPORTED'].includes(error.kind);
      if (!inTheWay || intent.exclusive) throw error;
      return createBehindLink(opener, path, intent, file, error);
    }
  }
  let attributes: Attributes | undefined;
  if (!place.mustBeDirectory && place.name !== '' && place.name !== '..')
    attributes = await opener.paths.source.lookup(place.parent, place.name, file.signal);
  if (attributes === undefined || (attributes.mode & S_IFMT) === S_IFLNK) {
    if (intent.noFollow && attributes !== undefined) throw new IbexError('ERR_LOOP', 'the path is a symbolic link');
    const found = await walk(opener.paths.source, opener.paths.cache, path, { follow: true, parentOnly: false, signal: file.signal });
    attributes = found.attributes ?? (await opener.paths.source.attributes(found.fid as Fid, file.signal));
  }
  return openExisting(opener, attributes, intent, file.signal);
}

async function create(opener: Opener, place: Place, intent: OpenIntent, file: NewFile): Promise<Opened> {
  const { core, identity } = opener;
  const { parent, name } = place;
  const { layout, signal } = file;
  const request = { parent, name, mode: S_IFREG | file.mode, uid: identity.uid, gid: identity.gid, exclusive: intent.exclusive };
  const chosen = layout === undefined ? {} : { layout: definedOnly(layout) };
  const answer = await core.calls.meta(parent, meta.create, { ...request, ...chosen }, { signal });
  // The metadata server counts an open by create as one for writing.
  const opened = core.files.opened(answer.attributes, answer.layout, true);
  if (!answer.created && intent.truncate && answer.attributes.size > 0) {
    try {
      await truncate(core, opened, signal);
    } catch (error) {
      core.files.release(opened, true);
      throw error;
    }
  }
  return { file: opened, write: true };
}

async function createBehindLink(opener: Opener, path: string, intent: OpenIntent, file: NewFile, inTheWay: IbexError): Promise<Opened> {
  if (intent.noFollow) throw inTheWay;
  const found = await walk(opener.paths.source, opener.paths.cache, path, {
    follow: true,
    parentOnly: false,
    missing: true,
    signal: file.signal,
  });
  if (found.fid === undefined) return create(opener, found, intent, file);
  const attributes = found.attributes ?? (await opener.paths.source.attributes(found.fid, file.signal));
  return openExisting(opener, attributes, intent, file.signal);
}

async function openExisting(opener: Opener, attributes: Attributes, intent: OpenIntent, signal: AbortSignal | undefined): Promise<Opened> {
  const { core } = opener;
  const type = attributes.mode & S_IFMT;
  if (type === S_IFDIR) throw new IbexError('ERR_IS_DIRECTORY', 'read directories with readdir or opendir');
  if (intent.directory) throw new IbexError('ERR_NOT_DIRECTORY');
  if (type !== S_IFREG) throw new IbexError('ERR_NOT_SUPPORTED', 'only regular files can be opened');
  const { fid } = attributes;
  if (intent.truncate) await core.files.settleBeforeChange(fid, `file ${fid}`, signal);
  const { write } = intent;
  const answer = await core.calls.meta(fid, meta.open, { fid, write, truncate: intent.truncate }, { signal });
  if (intent.truncate) core.files.resized(fid, answer.attributes.size);
  return { file: core.files.opened(answer.attributes, answer.layout, write), write };
}

async function truncate(core: ClientCore, file: OpenFile, signal: AbortSignal | undefined): Promise<void> {
  await core.files.settleBeforeChange(file.fid, `file ${file.fid}`, signal);
  const { attributes } = await core.calls.meta(file.fid, meta.setAttributes, { fid: file.fid, size: 0 }, { signal });
  core.files.resized(file.fid, attributes.size);
}

/** Optional fields of a message are left out, not undefined. */
export function definedOnly(layout: LayoutOptions): Partial<LayoutDefaults> {
  return {
    ...(layout.pattern === undefined ? {} : { pattern: layout.pattern }),
    ...(layout.stripeSize === undefined ? {} : { stripeSize: layout.stripeSize }),
    ...(layout.stripeCount === undefined ? {} : { stripeCount: layout.stripeCount }),
    ...(layout.pool === undefined ? {} : { pool: layout.pool }),
  };
}
