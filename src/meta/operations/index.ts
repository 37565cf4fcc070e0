/** Every operation by its name in the message catalogue. */
import { create } from './create.js';
import { getLayout, setLayout } from './layout.js';
import { link, removeDirectory, unlink } from './link.js';
import { getAttributes, lookup, readSymlink } from './lookup.js';
import { makeDirectory, makeNode, makeSymlink } from './make.js';
import { open, release, reopen } from './open.js';
import type { Change, MetaName, Read } from './operation.js';
import { readDirectory } from './read-directory.js';
import { rename } from './rename.js';
import { setAttributes, settle } from './set-attributes.js';
import { giveBackLeases, statistics, sync } from './target.js';
import { getXattr, listXattrs, removeXattr, setXattr } from './xattr.js';

export const reads = {
  lookup,
  getAttributes,
  readSymlink,
  readDirectory,
  getLayout,
  sync,
  getXattr,
  listXattrs,
  statistics,
  giveBackLeases,
} as const satisfies {
  readonly [Name in MetaName]?: Read<Name>;
};

export const changes = {
  setAttributes,
  create,
  open,
  release,
  reopen,
  settle,
  makeDirectory,
  makeSymlink,
  makeNode,
  link,
  unlink,
  removeDirectory,
  rename,
  setLayout,
  setXattr,
  removeXattr,
} as const satisfies { readonly [Name in MetaName]?: Change<Name> };
