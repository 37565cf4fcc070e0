/** Which folder each target is served from. A target in service never changes its folder while the daemon runs. */
import { join } from 'node:path';
import type { NativeRuntime } from '../native.js';
import { IbexError } from '../wire/errors.js';

/** Where a target folder has its chunk files. */
export const CHUNK_FOLDER = 'chunks';

export class ServedTargets {
  readonly #native: Pick<NativeRuntime, 'addTarget' | 'removeTarget' | 'setTargetMapVersion'>;
  readonly #folders = new Map<number, string>();

  constructor(native: Pick<NativeRuntime, 'addTarget' | 'removeTarget' | 'setTargetMapVersion'>) {
    this.#native = native;
  }

  /** Requests that know the map from `since` on are answered. @throws IbexError when another folder is that target */
  serve(folder: string, target: number, since: number): void {
    const before = this.#folders.get(target);
    if (before === undefined) {
      this.#native.addTarget(target, join(folder, CHUNK_FOLDER), since);
      this.#folders.set(target, folder);
    } else if (before === folder) {
      this.#native.setTargetMapVersion(target, since);
    } else {
      throw new IbexError(
        'ERR_WRONG_DISK',
        `target ${target} is served from ${before}; ${folder} is a copy of it: configure an empty folder`,
      );
    }
  }

  close(): void {
    for (const target of this.#folders.keys()) this.#native.removeTarget(target);
    this.#folders.clear();
  }
}
