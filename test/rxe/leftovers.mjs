// Nothing stays behind: what has to go is removed when this process ends, however it is asked to.
import { rmSync } from 'node:fs';

const leftovers = new Set();

function removeAll() {
  for (const remove of leftovers) remove();
  leftovers.clear();
}

let watching = false;

/** Runs `remove` (synchronous) at the end of this process, or when the function that comes back is called. */
export function atExit(remove) {
  if (!watching) {
    watching = true;
    process.once('exit', removeAll);
    for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) process.once(signal, () => process.exit(code));
  }
  leftovers.add(remove);
  return () => {
    leftovers.delete(remove);
    remove();
  };
}

export const removeAtExit = (folder) => atExit(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
