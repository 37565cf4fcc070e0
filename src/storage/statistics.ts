/** Counters of native code in the log, while there is work. */
import type { Logger } from 'pino';

const INTERVAL_MS = 60_000;

/** Logs once a minute what has changed. Returns how to stop, which logs the last figures. */
export function logStatistics(logger: Logger, read: () => Readonly<Record<string, number>>): () => void {
  let last = JSON.stringify(read());
  const log = (): void => {
    const statistics = read();
    const text = JSON.stringify(statistics);
    if (text === last) return;
    last = text;
    logger.info({ statistics }, 'statistics');
  };
  const timer = setInterval(log, INTERVAL_MS).unref();
  return () => {
    clearInterval(timer);
    log();
  };
}
