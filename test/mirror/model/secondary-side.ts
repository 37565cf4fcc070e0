/** What a member does for its primary: takes writes, copies of a resync, and what ends a mark. */
import type { LinkName, Message } from './messages.js';
import { FIRST_LINK } from './primary-side.js';
import type { Replica } from './replica.js';
import type { Process } from './simulation.js';

type FromPrimary = Message & { type: 'forward' | 'begin-resync' | 'copy' | 'clear-mark' };

export class SecondarySide {
  readonly #replica: Replica;
  /** The link that it takes writes from. */
  #source: LinkName | undefined;
  /** All that it ever took; the beginning of an earlier one may come late, and would bring old slots. */
  readonly #sources = new Set<LinkName>();
  /** Registers with the number of a write that may not be on both copies yet. */
  readonly #uncommitted = new Map<number, number>();

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  mayBeAlone(register: number): boolean {
    return this.#uncommitted.has(register);
  }

  epochBegins(): void {
    const { role, secondaryGood, epoch } = this.#replica.view;
    if (role === 'primary') this.#uncommitted.clear();
    const ends = role !== 'secondary' || !secondaryGood;
    if (ends && this.#replica.sim.rules.endsLinks) this.#source = undefined;
    else if (epoch === 1) this.#source = FIRST_LINK;
  }

  take(message: FromPrimary, from: Process): void {
    if (!this.#takes(message, from)) return;
    if (message.type === 'begin-resync') {
      this.#begin(message, from);
      return;
    }
    if (this.#source !== message.link) return;
    const replica = this.#replica;
    const { register } = message;
    if (message.type === 'forward') this.#commit(message.committed);
    replica.hold(register, () => {
      const done = (answer?: Message): void => {
        if (answer !== undefined) replica.send(from.host, answer);
        replica.free(register);
      };
      // It may have waited for long.
      if (!this.#takes(message, from) || this.#source !== message.link) return done();
      if (message.type === 'forward') this.#write(message, done);
      else if (message.type === 'copy') this.#copy(message, done);
      else this.#clear(message, done);
    });
  }

  #takes(message: FromPrimary, from: Process): boolean {
    const { view, sim } = this.#replica;
    if (sim.rules.member.takesFrom(view, message.epoch)) return true;
    this.#replica.send(from.host, { type: 'refused', link: message.link, epoch: view.epoch });
    return false;
  }

  #commit(committed: number): void {
    for (const [register, number] of this.#uncommitted) if (number <= committed) this.#uncommitted.delete(register);
  }

  #begin({ link, slots }: Message & { type: 'begin-resync' }, from: Process): void {
    const { disk, view, sim } = this.#replica;
    if (view.secondaryGood) return;
    if (this.#source !== link) {
      if (this.#sources.has(link)) return;
      this.#sources.add(link);
      this.#source = link;
      this.#uncommitted.clear();
      if (sim.rules.handsOverSlots) disk.slots = new Map(slots);
      this.#replica.forgetUnfinished();
    }
    this.#replica.send(from.host, { type: 'resync-begun', link, marks: [...disk.marks] });
  }

  #write({ link, number, register, value, client, sequence }: Message & { type: 'forward' }, done: (answer: Message) => void): void {
    const replica = this.#replica;
    const { disk } = replica;
    const answer: Message = { type: 'forwarded', link, number };
    if (disk.has(client, sequence, replica.sim.rules.recognisesRetries)) {
      done(answer);
      return;
    }
    disk.marks.add(register);
    disk.slots.set(client, { sequence, writing: register });
    this.#uncommitted.set(register, number);
    replica.afterDisk(() => {
      disk.registers[register] = value;
      replica.afterDisk(() => {
        disk.slots.set(client, { sequence, writing: undefined });
        done(answer);
      });
    });
  }

  #copy({ link, register, value }: Message & { type: 'copy' }, done: (answer: Message) => void): void {
    const replica = this.#replica;
    replica.disk.marks.add(register);
    replica.afterDisk(() => {
      replica.disk.registers[register] = value;
      done({ type: 'copied', link, register });
    });
  }

  #clear({ link, register }: Message & { type: 'clear-mark' }, done: (answer: Message) => void): void {
    const { disk, sim } = this.#replica;
    if (sim.rules.syncsBeforeClearing) disk.sync(register);
    disk.marks.delete(register);
    done({ type: 'mark-cleared', link, register });
  }
}
