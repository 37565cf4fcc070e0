/** One target folder of a daemon: checked, held, and brought into service when mgmtd has accepted it. */
import { join } from 'node:path';
import type { TargetKind } from '../wire/cluster-map.js';
import type { TargetId } from '../wire/fid.js';
import type { mgmt, ResponseOf } from '../wire/messages.js';
import { ensureFolder, type FolderLock, lockFolder } from './folder.js';
import { type NodeIdentity, openTargetIdentity, saveNodeIdentity, saveTargetIdentity, type TargetIdentity } from './identity.js';
import type { RegisteredFolder } from './registration.js';
import { StartupError } from './startup-error.js';
import { type FolderUsage, folderUsage } from './usage.js';

type Accepted = ResponseOf<typeof mgmt.registerTarget>;

/** node.json of this daemon: one writer at a time. */
export class NodeFile {
  readonly folder: string;
  #identity: NodeIdentity;
  #writing: Promise<void> = Promise.resolve();

  constructor(folder: string, identity: NodeIdentity) {
    this.folder = folder;
    this.#identity = identity;
  }

  get identity(): NodeIdentity {
    return this.#identity;
  }

  /** Remembers which target a folder holds, so that a missing disk is noticed. */
  remember(targetFolder: string, target: TargetId): Promise<void> {
    this.#writing = this.#writing
      .catch(() => {})
      .then(async () => {
        if (this.#identity.targets[targetFolder] === target) return;
        const next = { ...this.#identity, targets: { ...this.#identity.targets, [targetFolder]: target } };
        await saveNodeIdentity(this.folder, next);
        this.#identity = next;
      });
    return this.#writing;
  }
}

export interface TargetFolderOptions {
  readonly folder: string;
  readonly kind: TargetKind;
  readonly nodeFile: NodeFile;
  readonly pool?: string | undefined;
  /** The folder is held already, as the daemon's data folder. */
  readonly held?: boolean;
  /** Folder inside it for the target's content; made when missing. */
  readonly content?: string;
  /** Figures that are better than the file system's; undefined while there are none. */
  readonly usage?: () => Promise<FolderUsage> | undefined;
  /** Brings the target into service; its identity is on disk. */
  readonly serve: (answer: Accepted) => Promise<void> | void;
}

export class TargetFolder implements RegisteredFolder {
  readonly folder: string;
  readonly pool: string | undefined;
  readonly #options: TargetFolderOptions;
  readonly #lock: FolderLock | undefined;
  #identity: TargetIdentity;

  private constructor(options: TargetFolderOptions, identity: TargetIdentity, lock: FolderLock | undefined) {
    this.folder = options.folder;
    this.pool = options.pool;
    this.#options = options;
    this.#identity = identity;
    this.#lock = lock;
  }

  /** @throws StartupError that says what is wrong with the folder */
  static async open(options: TargetFolderOptions): Promise<TargetFolder> {
    const { folder, kind, nodeFile } = options;
    await ensureFolder(folder, 'target folder');
    const lock = options.held === true ? undefined : await lockFolder(folder, 'target folder');
    try {
      const identity = await openTargetIdentity({
        folder,
        kind,
        nodeFolder: nodeFile.folder,
        lastTarget: nodeFile.identity.targets[folder],
      });
      return new TargetFolder(options, identity, lock);
    } catch (error) {
      await lock?.release();
      throw error;
    }
  }

  get target(): TargetId | undefined {
    return this.#identity.target;
  }

  identity(): TargetIdentity {
    return this.#identity;
  }

  /** @throws StartupError when the disk is no longer the same, or cannot be written */
  async check(): Promise<void> {
    const { content, kind, nodeFile } = this.#options;
    const found = await openTargetIdentity({ folder: this.folder, kind, nodeFolder: nodeFile.folder, lastTarget: this.target });
    if (found.token !== this.#identity.token) {
      throw new StartupError(
        'ERR_WRONG_DISK',
        `target folder ${this.folder} holds another target than when the daemon started; restart the daemon if that is meant`,
      );
    }
    await ensureFolder(this.folder, 'target folder');
    if (content !== undefined) await ensureFolder(join(this.folder, content), 'target folder');
  }

  usage(): Promise<FolderUsage> {
    return this.#options.usage?.() ?? folderUsage(this.folder);
  }

  async accepted(answer: Accepted): Promise<void> {
    const { target, token, clusterId } = answer;
    this.#refuseClone(target);
    if (this.#identity.target !== target || this.#identity.clusterId !== clusterId) {
      const identity: TargetIdentity = { ...this.#identity, target, token, clusterId };
      await saveTargetIdentity(this.folder, identity);
      this.#identity = identity;
    }
    await this.#options.nodeFile.remember(this.folder, target);
    await this.#options.serve(answer);
  }

  /** Copied before the original had its number: mgmtd knows both by one token, this node remembers the original. */
  #refuseClone(target: TargetId): void {
    if (this.#identity.target !== undefined) return;
    const original = Object.entries(this.#options.nodeFile.identity.targets).find(
      ([folder, known]) => known === target && folder !== this.folder,
    );
    if (original === undefined) return;
    throw new StartupError(
      'ERR_WRONG_DISK',
      `target folder ${this.folder} is a copy of ${original[0]}, which held target ${target}; configure an empty folder`,
    );
  }

  async close(): Promise<void> {
    await this.#lock?.release();
  }
}
