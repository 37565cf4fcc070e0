/** What the parts of one client share. */
import type { FileIo, MetadataCalls } from './backend.js';
import type { BufferRegistry } from './buffers.js';
import type { OpenFiles } from './open-files.js';

export interface ClientCore {
  readonly calls: MetadataCalls;
  readonly io: FileIo;
  readonly buffers: BufferRegistry;
  readonly files: OpenFiles;
}
