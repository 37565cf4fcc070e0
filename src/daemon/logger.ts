/** The log of a daemon: JSON lines to standard output or a file, readable text where a person watches. */
import { type Logger, type LoggerOptions, pino, stdTimeFunctions } from 'pino';
import { explainFileError } from './startup-error.js';

export interface LogSettings {
  readonly level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace';
  /** '' logs to standard output. */
  readonly file: string;
}

export interface DaemonLog {
  readonly logger: Logger;
  /** Opens the file again under its name, after it was rotated away. */
  reopen(): void;
  flush(): void;
}

/** @throws StartupError when the file cannot be opened */
export async function openLog(daemon: string, settings: LogSettings): Promise<DaemonLog> {
  const options: LoggerOptions = { level: settings.level, base: { daemon, pid: process.pid }, timestamp: stdTimeFunctions.isoTime };
  if (settings.file === '' && process.stdout.isTTY) {
    const { default: pretty } = await import('pino-pretty');
    const logger = pino(options, pretty({ colorize: true, sync: true, ignore: 'daemon,pid', translateTime: 'SYS:HH:MM:ss.l' }));
    return { logger, reopen: () => {}, flush: () => {} };
  }
  // Synchronous: the last lines before a crash are the ones that matter, and daemons log little.
  const destination = openDestination(settings.file);
  // A full disk or a closed pipe must not end the daemon.
  destination.on('error', () => {});
  return {
    logger: pino(options, destination),
    reopen: () => {
      if (settings.file !== '') destination.reopen();
    },
    flush: () => {
      try {
        destination.flushSync();
      } catch {
        // Nothing can be logged about a log that is gone.
      }
    },
  };
}

function openDestination(file: string): ReturnType<typeof pino.destination> {
  try {
    return pino.destination({ dest: file === '' ? 1 : file, sync: true, append: true });
  } catch (error) {
    throw explainFileError(error, `log file (log.file) ${file}`);
  }
}
