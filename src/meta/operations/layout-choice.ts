/** Layouts of new files and checks of what users ask for. */
import { IbexError } from '../../wire/errors.js';
import type { Layout, LayoutDefaults } from '../../wire/messages.js';
import { defaultsOf, type Inode } from '../inode.js';
import { placeFile } from '../placement.js';
import type { MetaState } from '../state.js';

/** Stripes start on chunk-file offsets that stay aligned for direct I/O. */
const STRIPE_ALIGNMENT = 65_536;

/** `own` over what `base` says. @throws ERR_INVALID for a stripe size that is no multiple of 64 KiB */
export function mergeDefaults(base: LayoutDefaults, own: Partial<LayoutDefaults> | undefined): LayoutDefaults {
  const merged: LayoutDefaults = {
    pattern: own?.pattern ?? base.pattern,
    pool: own?.pool ?? base.pool,
    stripeSize: own?.stripeSize ?? base.stripeSize,
    stripeCount: own?.stripeCount ?? base.stripeCount,
  };
  if (merged.stripeSize % STRIPE_ALIGNMENT !== 0)
    throw new IbexError('ERR_INVALID', `stripe size ${merged.stripeSize} is not a multiple of ${STRIPE_ALIGNMENT}`);
  return merged;
}

/** Targets for a file created in `directory`. @throws ERR_TRY_AGAIN, ERR_NO_SPACE, ERR_IO, ERR_NOT_SUPPORTED */
export function chooseLayout(state: MetaState, directory: Inode, own: Partial<LayoutDefaults> | undefined): Layout {
  return place(state, mergeDefaults(defaultsOf(directory), own));
}

export function place(state: MetaState, wanted: LayoutDefaults): Layout {
  if (wanted.pattern === 'mirror')
    throw new IbexError(
      'ERR_NOT_SUPPORTED',
      'mirrored files cannot be written yet: set the directory to the pattern "plain", or name it for this file',
    );
  return placeFile(state.map(), wanted, state.turn++);
}
