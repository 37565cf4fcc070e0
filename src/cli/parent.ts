/** A daemon of `ibex dev` must not outlive it, even when it was killed: the channel between them closes then. */

/** The process stops as by SIGTERM when its parent has gone. */
export function exitWithParent(): void {
  if (process.channel === undefined || process.channel === null) return;
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}
