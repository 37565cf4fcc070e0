/**
 * The life of a daemon process: log, signals, service manager, and an end in bounded time. What the daemon does
 * is in `start`; this knows nothing of it.
 */
import type { Logger } from 'pino';
import { loadNative } from '../native.js';
import { logConsole } from './console.js';
import { type DaemonLog, type LogSettings, openLog } from './logger.js';

/** A daemon that has not stopped by then is ended; systemd's own limit is longer. */
const STOP_MS_MAX = 15_000;

export interface RunningDaemon {
  /** One line for the log and the service manager: what is served where. */
  readonly summary: string;
  stop(): Promise<void>;
}

export interface DaemonContext {
  readonly logger: Logger;
  /** Ends the process with a failure: it can no longer keep its promises. */
  fatal(error: Error): void;
  /** Ends the process as if it had been asked to: there is nothing left to do. */
  finish(reason: string): void;
}

interface Stop {
  readonly reason: string;
  readonly failed: boolean;
}

/**
 * Runs until a signal or a fatal error and resolves with the exit code: 0 stopped as asked, 1 could not start
 * or failed. The caller must then end the process, since what hangs may still hold it.
 */
export async function runDaemon(
  name: string,
  log: LogSettings,
  start: (context: DaemonContext) => Promise<RunningDaemon>,
): Promise<number> {
  let opened: DaemonLog;
  try {
    opened = await openLog(name, log);
  } catch (error) {
    say(name, error);
    return 1;
  }
  const { logger, reopen, flush } = opened;
  let end!: (stop: Stop) => void;
  const ended = new Promise<Stop>((resolve) => {
    end = resolve;
  });
  const fatal = (error: Error): void => {
    logger.fatal({ err: error }, `${name} cannot go on: ${error.message}`);
    end({ reason: error.message, failed: true });
  };
  const removeHandlers = handleProcessEvents(logger, reopen, end, fatal);
  const giveConsoleBack = logConsole(logger);
  try {
    const daemon = await Promise.race([start({ logger, fatal, finish: (reason) => end({ reason, failed: false }) }), ended]);
    if (!('stop' in daemon)) return daemon.failed ? 1 : 0;
    logger.info(daemon.summary);
    const stopWatchdog = tellServiceManager(daemon);
    const { reason, failed } = await ended;
    logger.info(`stopping: ${reason}`);
    stopWatchdog();
    notify('STOPPING=1');
    const stopped = await stopInTime(daemon, logger);
    return failed || !stopped ? 1 : 0;
  } catch (error) {
    if (log.file !== '') logger.fatal(error instanceof Error ? error.message : String(error));
    say(name, error);
    return 1;
  } finally {
    giveConsoleBack();
    removeHandlers();
    flush();
  }
}

/** For people: one line, without a stack. */
function say(name: string, error: unknown): void {
  process.stderr.write(`ibex ${name}: ${error instanceof Error ? error.message : String(error)}\n`);
}

function handleProcessEvents(logger: Logger, reopen: () => void, end: (stop: Stop) => void, fatal: (error: Error) => void): () => void {
  let asked = 0;
  const stop = (signal: string): void => {
    // Whoever asks twice does not want to wait.
    if (++asked > 1) process.exit(1);
    end({ reason: signal, failed: false });
  };
  const handlers: Readonly<Record<string, (argument: unknown) => void>> = {
    SIGTERM: () => stop('SIGTERM'),
    SIGINT: () => stop('SIGINT'),
    SIGHUP: () => {
      reopen();
      logger.info('log opened again');
    },
    uncaughtException: (error) => fatal(error instanceof Error ? error : new Error(String(error))),
    unhandledRejection: (reason) => fatal(reason instanceof Error ? reason : new Error(String(reason))),
  };
  for (const [event, handler] of Object.entries(handlers)) process.on(event, handler);
  return () => {
    for (const [event, handler] of Object.entries(handlers)) process.off(event, handler);
  };
}

function notify(text: string): void {
  if (process.env['NOTIFY_SOCKET'] !== undefined) loadNative().sdNotify(text);
}

/** Whoever started us learns that we serve. systemd's protocol: READY once, then WATCHDOG at half the interval it wants. */
function tellServiceManager(daemon: RunningDaemon): () => void {
  notify(`READY=1\nSTATUS=${daemon.summary}`);
  // A parent that opened a channel (`ibex dev`) waits for this; that it has gone is no trouble of ours.
  process.send?.({ ready: daemon.summary }, undefined, undefined, () => {});
  const watchdogMs = Number(process.env['WATCHDOG_USEC'] ?? 0) / 1000;
  if (!Number.isFinite(watchdogMs) || watchdogMs < 2) return () => {};
  const timer = setInterval(() => notify('WATCHDOG=1'), watchdogMs / 2).unref();
  return () => clearInterval(timer);
}

async function stopInTime(daemon: RunningDaemon, logger: Logger): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), STOP_MS_MAX);
  });
  try {
    const stopped = await Promise.race([daemon.stop().then(() => true as const), tooLong]);
    if (stopped) logger.info('stopped');
    else logger.error(`did not stop within ${STOP_MS_MAX} ms; ending anyway`);
    return stopped;
  } catch (error) {
    logger.error({ err: error }, `did not stop cleanly: ${(error as Error).message}`);
    return false;
  } finally {
    clearTimeout(timer);
  }
}
