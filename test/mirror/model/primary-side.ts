/** What a member does as the primary: orders writes, sends them on, brings the secondary in, and clears marks. */
import type { LinkName, Message } from './messages.js';
import type { Replica } from './replica.js';
import type { Process } from './simulation.js';

/** Of a group's beginning, when both copies are empty. */
export const FIRST_LINK: LinkName = 'first';

/** A write under way; it holds its register. */
interface Write {
  readonly number: number;
  readonly register: number;
  readonly value: number;
  readonly client: Process;
  readonly sequence: number;
  readonly attempt: number;
  isHere: boolean;
  isThere: boolean;
  triedAt: number;
}

/** The connection with a secondary from the beginning of a resync to the next exclusion. */
interface Link {
  readonly name: LinkName;
  readonly partner: Replica | undefined;
  begun: boolean;
  /** Registers still to be copied. */
  readonly todo: Set<number>;
  /** Held for a copy that is under way. */
  copying: { readonly register: number; isHeld: boolean; triedAt: number } | undefined;
  /** When it last got on, or had nothing to do. */
  movedAt: number;
}

const WORK_MS = 25;
const RESEND_MS = 60;
const LINK_LOST_MS = 400;
const CLEAR_CHANCE = 0.4;

export class PrimarySide {
  readonly #replica: Replica;
  readonly #writes = new Map<number, Write>();
  #lastNumber = 0;
  #links = 0;
  #link: Link | undefined;
  /** A mark that is being cleared; its register is held. */
  #clearing: { readonly register: number; readonly since: number } | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(replica: Replica) {
    this.#replica = replica;
    replica.every(WORK_MS, () => this.#work());
  }

  epochBegins(): void {
    const { role, secondaryGood, epoch } = this.#replica.view;
    this.#stopClearing();
    if (role !== 'primary' || !secondaryGood) this.#dropLink();
    else if (epoch === 1) this.#link = this.#newLink(FIRST_LINK, undefined);
    this.#askedAt = Number.NEGATIVE_INFINITY;
    this.#finishWrites();
  }

  takeWrite({ attempt, epoch, register, value, sequence }: Message & { type: 'write' }, client: Process): void {
    const replica = this.#replica;
    const { member, recognisesRetries } = replica.sim.rules;
    const { view } = replica;
    if (!member.isCurrent(view, epoch) || view.role !== 'primary' || !member.mayServe(view, replica.clock)) {
      replica.answer(client, { attempt, error: 'stale' });
      return;
    }
    replica.sim.acts(replica, view.epoch);
    replica.holdForRetry(register, client.name, sequence, () => {
      const isKnown = replica.disk.has(client.name, sequence, recognisesRetries);
      if (replica.view.role !== 'primary' || isKnown) {
        replica.answer(client, replica.view.role === 'primary' ? { attempt } : { attempt, error: 'stale' });
        return replica.free(register);
      }
      this.#begin({ register, value, client, sequence, attempt });
    });
  }

  takeAnswer(message: Message & { type: 'forwarded' | 'resync-begun' | 'copied' | 'mark-cleared' }): void {
    const link = this.#link;
    if (link?.name !== message.link) return;
    link.movedAt = this.#replica.clock;
    switch (message.type) {
      case 'forwarded': {
        const write = this.#writes.get(message.number);
        if (write === undefined) return;
        write.isThere = true;
        this.#finish(write);
        return;
      }
      case 'resync-begun': {
        if (link.begun) return;
        link.begun = true;
        const { disk, sim } = this.#replica;
        for (const register of sim.rules.joinsMarks ? [...disk.marks, ...message.marks] : disk.marks) link.todo.add(register);
        return;
      }
      case 'copied':
        if (link.copying?.register !== message.register) return;
        link.copying = undefined;
        link.todo.delete(message.register);
        this.#replica.free(message.register);
        return;
      case 'mark-cleared':
        if (this.#clearing?.register !== message.register) return;
        this.#replica.disk.marks.delete(message.register);
        this.#stopClearing();
        return;
    }
  }

  #begin(request: Pick<Write, 'register' | 'value' | 'client' | 'sequence' | 'attempt'>): void {
    const replica = this.#replica;
    replica.disk.marks.add(request.register);
    replica.disk.slots.set(request.client.name, { sequence: request.sequence, writing: request.register });
    const number = ++this.#lastNumber;
    const write: Write = { ...request, number, isHere: false, isThere: false, triedAt: Number.NEGATIVE_INFINITY };
    this.#writes.set(number, write);
    if (this.#link !== undefined) this.#forward(write, this.#link);
    replica.afterDisk(() => {
      replica.disk.registers[write.register] = write.value;
      write.isHere = true;
      this.#finish(write);
    });
  }

  #forward(write: Write, link: Link): void {
    const replica = this.#replica;
    write.triedAt = replica.clock;
    const committed = Math.min(this.#lastNumber, ...[...this.#writes.keys()].map((number) => number - 1));
    const { number, register, value, sequence } = write;
    const client = write.client.name;
    const { epoch } = replica.view;
    replica.send(replica.other, {
      type: 'forward',
      epoch,
      link: link.name,
      number,
      register,
      value,
      client,
      sequence,
      committed,
    });
  }

  #finishWrites(): void {
    for (const write of [...this.#writes.values()]) this.#finish(write);
  }

  #finish(write: Write): void {
    if (!write.isHere || !this.#writes.has(write.number)) return;
    const replica = this.#replica;
    const { member, asksBeforeGoingAlone } = replica.sim.rules;
    const isPrimary = replica.view.role === 'primary';
    // While a resync runs its writes go to both copies as well, or the link is given up first.
    const waitsForLink = this.#link !== undefined && !write.isThere;
    const may = member.mayAcknowledge(replica.view, write.isThere, replica.clock) && !waitsForLink;
    if (isPrimary && !may && asksBeforeGoingAlone) return;
    this.#writes.delete(write.number);
    if (isPrimary) {
      replica.disk.slots.set(write.client.name, { sequence: write.sequence, writing: undefined });
      replica.sim.log(`${replica.name} acknowledges ${write.value} in register ${write.register}, epoch ${replica.view.epoch}`);
    }
    replica.answer(write.client, isPrimary ? { attempt: write.attempt } : { attempt: write.attempt, error: 'stale' });
    replica.free(write.register);
  }

  /** What it sees to again and again. */
  #work(): void {
    const replica = this.#replica;
    const { view, clock } = replica;
    if (view.role !== 'primary') return;
    const { member, memberLimits } = replica.sim.rules;
    this.#finishWrites();
    if (member.isSecondaryLost(view, clock, memberLimits) && this.#mayAsk())
      replica.send('mgmtd', { type: 'secondary-failed', ...replica.self, epoch: view.epoch });
    if (!member.needsSecondary(view)) this.#watchLink();
    const link = this.#link;
    if (link === undefined) return;
    const isIdle = link.begun && link.copying === undefined && [...this.#writes.values()].every((write) => write.isThere);
    if (isIdle) link.movedAt = clock;
    for (const write of this.#writes.values()) if (!write.isThere && clock - write.triedAt >= RESEND_MS) this.#forward(write, link);
    if (view.secondaryGood) this.#clearMarks(link);
    else this.#resync(link);
  }

  #mayAsk(): boolean {
    const { clock } = this.#replica;
    if (clock - this.#askedAt < RESEND_MS) return false;
    this.#askedAt = clock;
    return true;
  }

  /** One that is not needed is given up when it does not get on, and tried again; what is marked stays to be copied. */
  #watchLink(): void {
    const { view, clock, partner, name } = this.#replica;
    const link = this.#link;
    if (link === undefined) {
      const isThere = view.heard !== undefined && clock - view.heard.at < LINK_LOST_MS;
      if (isThere && partner !== undefined) this.#link = this.#newLink(`${name}>${partner.name}#${++this.#links}`, partner);
    } else if (clock - link.movedAt >= LINK_LOST_MS || link.partner !== partner) {
      this.#dropLink();
      this.#finishWrites();
    }
  }

  #newLink(name: LinkName, partner: Replica | undefined): Link {
    return { name, partner, begun: false, todo: new Set(), copying: undefined, movedAt: this.#replica.clock };
  }

  #dropLink(): void {
    const link = this.#link;
    this.#link = undefined;
    if (link?.copying?.isHeld === true) this.#replica.free(link.copying.register);
  }

  #resync(link: Link): void {
    const replica = this.#replica;
    const { view, disk, sim } = replica;
    if (!link.begun) {
      replica.send(replica.other, {
        type: 'begin-resync',
        epoch: view.epoch,
        link: link.name,
        slots: new Map(disk.slots),
      });
      return;
    }
    if (link.copying !== undefined) {
      this.#sendCopy(link);
      return;
    }
    const [register] = link.todo;
    if (register !== undefined) {
      this.#copy(link, register);
      return;
    }
    // A write that a predecessor left unfinished has to be finished or given up by its client first.
    if (replica.hasUnfinished) return;
    const joining = sim.rules.member.beginJoining(view, link.partner?.self.start ?? 0);
    if (joining !== view) {
      replica.view = joining;
      sim.log(`${replica.name} acknowledges nothing alone any more in epoch ${view.epoch}`);
    }
    const allThere = [...this.#writes.values()].every((write) => write.isThere);
    if (allThere && this.#mayAsk())
      replica.send('mgmtd', { type: 'resync-finished', ...replica.self, epoch: view.epoch, secondaryStart: link.partner?.self.start ?? 0 });
  }

  #copy(link: Link, register: number): void {
    const replica = this.#replica;
    const copying = { register, isHeld: false, triedAt: Number.NEGATIVE_INFINITY };
    link.copying = copying;
    replica.hold(register, () => {
      if (this.#link !== link) return replica.free(register);
      copying.isHeld = true;
      replica.disk.marks.add(register);
      this.#sendCopy(link);
    });
  }

  #sendCopy({ name, copying }: Link): void {
    const replica = this.#replica;
    if (copying?.isHeld !== true || replica.clock - copying.triedAt < RESEND_MS) return;
    copying.triedAt = replica.clock;
    const { register } = copying;
    const value = replica.disk.registers[register] as number;
    replica.send(replica.other, { type: 'copy', epoch: replica.view.epoch, link: name, register, value });
  }

  /** A mark goes when both copies have what it marks on their disks. */
  #clearMarks(link: Link): void {
    const replica = this.#replica;
    const { view, clock, disk, sim } = replica;
    if (this.#clearing !== undefined && clock - this.#clearing.since >= LINK_LOST_MS) this.#stopClearing();
    if (this.#clearing !== undefined || !sim.random.chance(CLEAR_CHANCE)) return;
    const register = [...disk.marks].find((marked) => !replica.isHeld(marked));
    if (register === undefined) return;
    replica.hold(register, () => {
      this.#clearing = { register, since: clock };
      if (sim.rules.syncsBeforeClearing) disk.sync(register);
      replica.send(replica.other, { type: 'clear-mark', epoch: view.epoch, link: link.name, register });
    });
  }

  #stopClearing(): void {
    const clearing = this.#clearing;
    this.#clearing = undefined;
    if (clearing !== undefined) this.#replica.free(clearing.register);
  }
}
