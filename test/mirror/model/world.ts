/** The cluster of a run: what is on the disks, what runs on the hosts, and what faults do to both. */
import type { Consistency, GroupRecord } from '../../../src/wire/cluster-map.js';
import type { GroupId, TargetId } from '../../../src/wire/fid.js';
import { Client } from './client.js';
import { Disk } from './disk.js';
import { History } from './history.js';
import { Manager } from './manager.js';
import { Replica, targetOf } from './replica.js';
import type { Rules } from './rules.js';
import { type HostName, type Process, Simulation } from './simulation.js';

const REGISTERS = 3;
/** In that time an operator's command is carried out, unless something is in its way. */
const COMMAND_MS = 1_000;
const clientHosts: readonly HostName[] = ['client-1', 'client-2', 'client-3'];
export const hosts: readonly HostName[] = ['mgmtd', 'a', 'b', ...clientHosts];

export class World {
  readonly sim: Simulation;
  readonly history = new History();
  readonly disks = { a: new Disk(REGISTERS), b: new Disk(REGISTERS) };
  readonly clients: readonly Client[];
  /** What mgmtd has on its disk. */
  #record: GroupRecord;
  #nextValue = 1;
  #wasBlackedOut = false;
  #commandedAt = Number.NEGATIVE_INFINITY;

  constructor(seed: number, rules: Rules) {
    this.sim = new Simulation(seed, rules);
    const member = (host: 'a' | 'b') => ({ target: targetOf(host), consistency: 'good' as const, start: 1 });
    this.#record = { id: 1 as GroupId, alias: 'g', epoch: 1, primary: member('a'), secondary: member('b'), lingering: [] };
    this.#start('a');
    this.#start('b');
    this.#start('mgmtd');
    this.clients = clientHosts.map((host) => {
      const client = new Client(this.sim, host, this.#record, this.history, REGISTERS, () => this.#nextValue++);
      this.sim.running.set(host, client);
      return client;
    });
  }

  get record(): GroupRecord {
    return this.#record;
  }

  /** kill -9, and a new process some time later. Its kernel closes its connections, which mgmtd may see or not. */
  crash(host: 'a' | 'b' | 'mgmtd', downMs: number): void {
    const process = this.#end(host);
    if (process === undefined) return;
    this.sim.log(`${process.name} is killed`);
    if (host !== 'mgmtd') this.#closed(process);
    this.#startLater(host, downMs);
  }

  /**
   * Only while all is well: who loses power just when its copy becomes the only good one loses what was not synced, as it
   * would a moment later, and that is promised to nobody.
   */
  cutPower(host: 'a' | 'b', downMs: number): void {
    if (!this.#isCalm) return;
    const process = this.#end(host);
    if (process === undefined) return;
    if (this.#record.primary.target === targetOf(host)) this.sim.dropFrom(process);
    this.disks[host].loseCache();
    this.sim.log(`${process.name} loses power`);
    this.#startLater(host, downMs);
  }

  /** Both members lose what they had not synced, and with it what was acknowledged since. */
  blackOut(): void {
    this.#wasBlackedOut = true;
    for (const host of ['a', 'b'] as const) {
      const process = this.#end(host);
      this.disks[host].loseCache();
      if (process === undefined) continue;
      this.sim.dropFrom(process);
      this.#startLater(host, this.sim.random.between(50, 1_500));
    }
    this.sim.log('the members lose power');
  }

  get wasBlackedOut(): boolean {
    return this.#wasBlackedOut;
  }

  stall(host: HostName, forMs: number): void {
    const process = this.sim.running.get(host);
    if (process === undefined) return;
    this.sim.log(`${process.name} stands still for ${forMs}`);
    // Never earlier than it was to: what waits for it would lose its order.
    process.stalledUntil = Math.max(process.stalledUntil, this.sim.now + forMs);
  }

  cut(directions: readonly string[], forMs: number): void {
    this.sim.log(`nothing gets through ${directions.join(' ')} for ${forMs}`);
    for (const direction of directions) this.sim.cut.add(direction);
    this.sim.schedule(this.sim.now + forMs, undefined, () => {
      for (const direction of directions) this.sim.cut.delete(direction);
    });
    if (!this.sim.rules.trustsBrokenConnections) return;
    for (const host of ['a', 'b'] as const) {
      const process = this.sim.running.get(host);
      if (directions.includes(`${host}>mgmtd`) && process !== undefined) this.#tellEnded(process);
    }
  }

  slow(forMs: number): void {
    const usual = this.sim.lateness;
    this.sim.log(`messages come late for ${forMs}`);
    this.sim.lateness = 0.3;
    this.sim.schedule(this.sim.now + forMs, undefined, () => {
      this.sim.lateness = Math.min(usual, 0.05);
    });
  }

  setState(target: TargetId, consistency: Consistency): void {
    const mgmtd = this.sim.running.get('mgmtd');
    if (!(mgmtd instanceof Manager)) return;
    this.#commandedAt = this.sim.now;
    this.sim.schedule(this.sim.now, mgmtd, () => mgmtd.happens({ type: 'set-state', target, consistency, force: false }));
  }

  /** Nothing goes wrong any more; who stands still wakes up when it was to. */
  heal(): void {
    const { sim } = this;
    sim.log('all faults end');
    sim.cut.clear();
    sim.lossy = false;
    for (const host of ['mgmtd', 'a', 'b'] as const) this.#start(host);
  }

  /** Both copies are good, nothing is marked, and no client waits. */
  get isSettled(): boolean {
    const { a, b } = this.disks;
    return (
      this.#record.secondary.consistency === 'good' &&
      this.clients.every(({ isIdle }) => isIdle) &&
      a.marks.size === 0 &&
      b.marks.size === 0
    );
  }

  get #isCalm(): boolean {
    const { running, cut, now } = this.sim;
    const moves = hosts.every((host) => (running.get(host)?.stalledUntil ?? Number.POSITIVE_INFINITY) <= now);
    const takesPart = (host: 'a' | 'b'): boolean => {
      const { role, epoch } = (running.get(host) as Replica).view;
      return role !== 'none' && epoch === this.#record.epoch;
    };
    const isDone = now - this.#commandedAt > COMMAND_MS;
    return moves && isDone && cut.size === 0 && this.#record.secondary.consistency === 'good' && takesPart('a') && takesPart('b');
  }

  #start(host: 'a' | 'b' | 'mgmtd'): void {
    if (this.sim.running.has(host)) return;
    const keep = (record: GroupRecord): void => {
      this.#record = record;
    };
    const process =
      host === 'mgmtd'
        ? new Manager(this.sim, this.#record, keep, ['a', 'b', ...clientHosts])
        : new Replica(this.sim, host, this.disks[host]);
    this.sim.running.set(host, process);
    this.sim.log(`${process.name} starts`);
  }

  #startLater(host: 'a' | 'b' | 'mgmtd', downMs: number): void {
    this.sim.schedule(this.sim.now + downMs, undefined, () => this.#start(host));
  }

  #end(host: HostName): Process | undefined {
    const process = this.sim.running.get(host);
    if (process === undefined) return undefined;
    process.dead = true;
    this.sim.running.delete(host);
    return process;
  }

  #closed(process: Process): void {
    const { sim } = this;
    if (!sim.cut.has(`${process.host}>mgmtd`) && sim.random.chance(0.8))
      sim.schedule(sim.now + sim.random.between(1, 50), undefined, () => this.#tellEnded(process));
  }

  #tellEnded(process: Process): void {
    const mgmtd = this.sim.running.get('mgmtd');
    if (!(mgmtd instanceof Manager) || !(process instanceof Replica)) return;
    this.sim.schedule(this.sim.now, mgmtd, () => mgmtd.happens({ type: 'ended', ...process.self }));
  }
}
