/**
 * A world of a few hosts in which one seed decides everything: times, delays, losses and faults. Time is whole, in
 * milliseconds; processes see it through clocks of their own.
 */
import type { Rules } from './rules.js';

/** mulberry32 */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.between(0, items.length - 1)] as Item;
  }
}

export type HostName = 'mgmtd' | 'a' | 'b' | 'client-1' | 'client-2' | 'client-3';

/** Something that runs on a host: it ends with a crash, and stands still when it is told to. */
export class Process {
  readonly name: string;
  readonly host: HostName;
  readonly sim: Simulation;
  /** Of its clock: what it shows at time 0, and how fast it goes. */
  readonly #offset: number;
  readonly #rate: number;
  dead = false;
  stalledUntil = 0;

  constructor(sim: Simulation, host: HostName) {
    this.sim = sim;
    this.host = host;
    this.name = `${host}.${++sim.processes}`;
    const { clockRateErrorMax } = sim.rules.clocks;
    this.#offset = sim.random.between(0, 1_000_000);
    this.#rate = 1 + sim.random.pick([-1, 0, 1]) * clockRateErrorMax;
  }

  /** Its monotonic clock. */
  get clock(): number {
    return this.#offset + this.sim.now * this.#rate;
  }

  after(delay: number, work: () => void): void {
    this.sim.schedule(this.sim.now + delay, this, work);
  }

  every(period: number, work: () => void): void {
    const again = (): void => {
      work();
      this.after(period, again);
    };
    this.after(this.sim.random.between(0, period), again);
  }
}

interface Scheduled {
  readonly at: number;
  readonly order: number;
  readonly process: Process | undefined;
  readonly work: () => void;
}

export class Simulation {
  readonly random: Random;
  readonly rules: Rules;
  now = 0;
  processes = 0;
  /** What runs on a host just now. */
  readonly running = new Map<HostName, Process & { receive(message: unknown, from: Process): void }>();
  /** Directions in which nothing gets through: 'from>to'. */
  readonly cut = new Set<string>();
  /** The process that served as the primary of each epoch. */
  readonly #primaries = new Map<number, string>();
  wrong: string | undefined;
  /** Last arrivals, so that messages of one direction never overtake one another. */
  readonly #arrivals = new Map<string, number>();
  readonly #trace: string[] = [];
  readonly #queue: Scheduled[] = [];
  #order = 0;
  readonly #silenced = new Set<Process>();
  lossy = true;
  /** The parts of messages that are lost, and that come late. */
  readonly loss: number;
  lateness: number;

  constructor(seed: number, rules: Rules) {
    this.random = new Random(seed);
    this.rules = rules;
    this.loss = this.random.pick([0, 0.005, 0.03]);
    this.lateness = this.random.pick([0, 0.01, 0.05]);
  }

  /** The last lines of what happened. */
  get trace(): readonly string[] {
    return this.#trace;
  }

  log(text: string): void {
    this.#trace.push(`${String(this.now).padStart(6)} ${text}`);
  }

  /** A process accepts something as the primary of an epoch. */
  acts(process: Process, epoch: number): void {
    const other = this.#primaries.get(epoch) ?? process.name;
    this.#primaries.set(epoch, other);
    if (other !== process.name) this.wrong ??= `both ${other} and ${process.name} were the primary of epoch ${epoch}`;
  }

  schedule(at: number, process: Process | undefined, work: () => void): void {
    const queue = this.#queue;
    const entry = { at, order: this.#order++, process, work };
    let index = queue.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(entry, queue[parent] as Scheduled)) break;
      queue[index] = queue[parent] as Scheduled;
      index = parent;
    }
    queue[index] = entry;
  }

  run(until: number): void {
    for (;;) {
      const first = this.#queue[0];
      if (first === undefined || first.at > until) break;
      this.#pop();
      this.now = Math.max(this.now, first.at);
      const { process, work } = first;
      if (process === undefined) work();
      else if (process.dead) continue;
      else if (process.stalledUntil > this.now) this.schedule(process.stalledUntil, process, work);
      else work();
    }
    this.now = until;
  }

  /** In order, late, or not at all; to whatever runs on the host when it arrives. */
  send(from: Process, to: HostName, message: unknown): void {
    const direction = `${from.host}>${to}`;
    if (this.cut.has(direction) || (this.lossy && this.random.chance(this.loss))) return;
    const isLate = this.lossy && this.random.chance(this.lateness);
    const delay = isLate ? this.random.between(50, 400) : this.random.between(1, 8);
    const at = Math.max(this.now + delay, this.#arrivals.get(direction) ?? 0);
    this.#arrivals.set(direction, at);
    this.schedule(at, undefined, () => {
      const receiver = this.running.get(to);
      if (receiver === undefined || receiver.dead || this.cut.has(direction)) return;
      this.schedule(this.now, receiver, () => {
        if (!this.#silenced.has(from)) receiver.receive(message, from);
      });
    });
  }

  /** What the process has sent and has not arrived never does. */
  dropFrom(process: Process): void {
    this.#silenced.add(process);
  }

  #pop(): void {
    const queue = this.#queue;
    const last = queue.pop() as Scheduled;
    if (queue.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= queue.length) break;
      if (child + 1 < queue.length && isBefore(queue[child + 1] as Scheduled, queue[child] as Scheduled)) child++;
      if (!isBefore(queue[child] as Scheduled, last)) break;
      queue[index] = queue[child] as Scheduled;
      index = child;
    }
    queue[index] = last;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
