/** Smaller parts for mgmtd's tests: sessions that remember what they were told, and a clock that is set. */
import { join } from 'node:path';
import { pino } from 'pino';
import { loadConfig, type MgmtdConfig } from '../../src/config/index.js';
import { Management, type MgmtSession } from '../../src/mgmt/management.js';
import { emptyState, type MgmtState } from '../../src/mgmt/state.js';
import type { MgmtStore } from '../../src/mgmt/store.js';
import { applyMapChange, type ClusterMap, emptyMap } from '../../src/wire/cluster-map.js';
import { joinPages, type MapPage } from '../../src/wire/map-pages.js';
import type { mgmt, RequestOf, ResponseOf } from '../../src/wire/messages.js';

export const silent = pino({ level: 'silent' });

export const limits = { lostSessionAfterMs: 1_500, probablyOfflineAfterMs: 5_000, offlineAfterMs: 15_000 };

export const figures = { bytesTotal: 1_000_000, bytesFree: 900_000, inodesTotal: 1_000, inodesFree: 900 };

/** Of a real mgmtd whose key and data are in `folder`. */
export function daemonSettings(folder: string, flags: Readonly<Record<string, unknown>> = {}): MgmtdConfig {
  const places = { 'cluster.key_file': join(folder, 'key'), 'mgmtd.data': join(folder, 'data'), 'listen.port': 0, 'http.port': 0 };
  return loadConfig('mgmtd', { file: null, environment: {}, flags: { ...places, ...flags } });
}

export class TestSession {
  readonly peer: MgmtSession['peer'];
  readonly pages: MapPage[] = [];
  isOpen = true;
  closedBecause: string | undefined;
  map: ClusterMap | undefined;

  constructor(kind: MgmtSession['peer']['kind'], process = 'p1', host = 'host1') {
    this.peer = { kind, name: `${host}:1`, clientId: process, nodeId: 0, address: `${host}:5000`, carrier: { kind: 'tcp', detail: '' } };
  }

  /** As the typed session has it. */
  get asSession(): MgmtSession {
    return this as unknown as MgmtSession;
  }

  notify(_message: unknown, { page }: { page: MapPage }): void {
    this.pages.push(page);
    if (this.map !== undefined) this.map = applyMapChange(this.map, joinPages([page]));
  }

  /** For maps of one page. */
  subscribed({ clusterId, page }: ResponseOf<typeof mgmt.subscribeMap>): void {
    this.map = applyMapChange(emptyMap(clusterId), joinPages([page]));
  }

  close(reason: string): void {
    this.closedBecause = reason;
  }
}

export class TestClock {
  at = 1_000_000;
  readonly now = (): number => this.at;
}

export interface TestManagement {
  readonly management: Management;
  readonly clock: TestClock;
  /** Every state that was stored. */
  readonly saved: MgmtState[];
  open(session: TestSession): TestSession;
  /** Lets time pass in steps of the tick, as the daemon does. */
  pass(ms: number): void;
}

export function testManagement(state: MgmtState = emptyState('cluster-1'), store?: Pick<MgmtStore, 'save'>): TestManagement {
  const clock = new TestClock();
  const saved: MgmtState[] = [];
  const save = (before: MgmtState, after: MgmtState): void => {
    store?.save(before, after);
    saved.push(after);
  };
  const management = new Management({ store: { save }, state, logger: silent, limits, heartbeatMs: 1_000, tickMs: 250, now: clock.now });
  return {
    management,
    clock,
    saved,
    open: (session) => {
      management.opened(session.asSession);
      return session;
    },
    pass: (ms) => {
      for (let passed = 0; passed < ms; passed += 250) {
        clock.at += Math.min(250, ms - passed);
        management.tick();
      }
    },
  };
}

export const uuid = (digit: number): string => `${String(digit).repeat(8)}-0000-4000-8000-000000000000`;

export function nodeRequest(kind: 'meta' | 'storage', digit: number, alias?: string): RequestOf<typeof mgmt.registerNode> {
  return { uuid: uuid(digit), kind, addresses: [{ host: '127.0.0.1', port: 7000 + digit }], ...(alias === undefined ? {} : { alias }) };
}

/** Resolves when what was scheduled after this turn has run. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
