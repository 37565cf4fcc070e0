/** `ibex version`: what is running. */
import type { Command } from 'commander';
import { PROTOCOL_VERSION } from '../../wire/generated.js';
import { action, examples } from '../context.js';
import { packageVersion } from '../version.js';

async function nativeState(): Promise<string> {
  try {
    const { loadNative } = await import('../../native.js');
    loadNative();
    return 'loaded';
  } catch {
    return 'not built';
  }
}

export function define(command: Command): void {
  command.action(
    action(async (context) => {
      const native = await nativeState();
      const document = { ibexfs: packageVersion(), protocol: PROTOCOL_VERSION, native, node: process.version };
      context.out.facts(
        [
          ['ibexfs', document.ibexfs],
          ['protocol', String(document.protocol)],
          ['native part', native],
          ['node', document.node],
        ],
        document,
      );
    }),
  );
  examples(command, [
    ['ibex version', 'versions of all parts'],
    ['ibex --version', 'the version alone'],
  ]);
}
