/** getattr, setattr, fallocate, statfs: attributes of inodes and of the whole. */
import { constants } from 'node:fs';
import type { Fid } from '../wire/fid.js';
import { FuseOperation, type FuseRequestEvent } from '../wire/generated.js';
import { type Attributes, meta } from '../wire/messages.js';
import { type AttributeChange, changeOf, withoutSetId } from './attribute-change.js';
import { answer, type MountContext, type Operations } from './context.js';
import { ErrnoError, Fattr } from './linux.js';

const { S_IFMT, S_IFDIR } = constants;

export function attributeOperations(context: MountContext): Operations {
  const { calls, files, replies } = context;
  return {
    [FuseOperation.getattr]: (request) => {
      const fid = request.node as Fid;
      return answer(context, request, calls.meta(fid, meta.getAttributes, { fid }), ({ attributes }) =>
        replies.attributes(request, attributes),
      );
    },

    [FuseOperation.setattr]: async (request) => {
      if (request.dataError !== 0) throw new ErrnoError(request.dataError, 'earlier writes failed');
      const fid = request.node as Fid;
      let attributes = await change(context, fid, changeOf(request, Date.now()));
      if (request.valid & Fattr.killSetId) attributes = await clearSetId(context, attributes);
      replies.attributes(request, attributes);
    },

    [FuseOperation.fallocate]: async (request) => {
      const fid = request.node as Fid;
      const end = request.offset + request.size;
      const { attributes } = await calls.meta(fid, meta.getAttributes, { fid });
      if (files.merge(attributes).size < end) await change(context, fid, { size: end });
      replies.done(request);
    },

    [FuseOperation.statfs]: (request: FuseRequestEvent) =>
      answer(context, request, context.space(), (space) => replies.space(request, space)),
  };
}

async function change(context: MountContext, fid: Fid, wanted: AttributeChange): Promise<Attributes> {
  const { calls, files, told, changes, directories } = context;
  if (Object.keys(wanted).length === 0) return (await calls.meta(fid, meta.getAttributes, { fid })).attributes;
  // A time of writing that was not reported yet would override what is set here, and a size undo a cut.
  if (wanted.size !== undefined || wanted.mtime !== undefined) told.changedHere(await files.settleBeforeChange(fid, `inode ${fid}`));
  const askedMs = context.now();
  const { attributes } = await calls.meta(fid, meta.setAttributes, { fid, ...wanted });
  told.changedHere(attributes);
  if (wanted.size !== undefined) files.resized(fid, attributes.size);
  if (wanted.mode !== undefined) watchSetId(context, attributes);
  changes.note(fid);
  if ((attributes.mode & S_IFMT) === S_IFDIR) directories.changed(fid, { directory: attributes }, askedMs);
  return attributes;
}

/** Takes set-id bits away where there are any. */
export async function clearSetId(context: MountContext, attributes: Attributes): Promise<Attributes> {
  const mode = withoutSetId(attributes.mode);
  return mode === undefined ? attributes : change(context, attributes.fid, { mode });
}

/** An open file with set-id bits: native code tells when it is written, so that they are cleared. */
export function watchSetId({ files }: MountContext, attributes: Attributes): void {
  const file = files.get(attributes.fid);
  if (file !== undefined && withoutSetId(attributes.mode) !== undefined) files.states.clearSetIdOnWrite(file.slot);
}
