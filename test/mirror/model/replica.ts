/** A storage daemon with one target, as the model has it: the real member functions around a plain data path. */

import type { MemberView } from '../../../src/mirror/member.js';
import type { GroupRecord, TargetProcess } from '../../../src/wire/cluster-map.js';
import type { TargetId } from '../../../src/wire/fid.js';
import type { Disk } from './disk.js';
import type { Message, Stamp } from './messages.js';
import { PrimarySide } from './primary-side.js';
import { SecondarySide } from './secondary-side.js';
import { type HostName, Process, type Simulation } from './simulation.js';

type MemberHost = 'a' | 'b';

const targets: Readonly<Record<MemberHost, TargetId>> = { a: 1 as TargetId, b: 2 as TargetId };

export const targetOf = (host: MemberHost): TargetId => targets[host];
export const hostOf = (target: TargetId): MemberHost => (target === targets.a ? 'a' : 'b');

const BEAT_MS = 60;
const HEARTBEAT_MS = 120;
const WRITE_BACK_MS = 150;
const CLIENT_DEADLINE_MS = 8_000;

export class Replica extends Process {
  readonly disk: Disk;
  readonly other: MemberHost;
  view: MemberView;
  get self(): TargetProcess {
    return this.#self;
  }

  /** The process at the other end of the session between the members. */
  partner: Replica | undefined;
  readonly #self: TargetProcess;
  #answered: Stamp | undefined;
  readonly #primary: PrimarySide;
  readonly #secondary: SecondarySide;
  /** Who works at a register holds it. */
  /** By register. */
  readonly #unfinished = new Map<number, { readonly client: string; readonly sequence: number }>();
  readonly #held = new Map<number, (() => void)[]>();

  constructor(sim: Simulation, host: MemberHost, disk: Disk) {
    super(sim, host);
    this.disk = disk;
    this.other = host === 'a' ? 'b' : 'a';
    this.#self = { target: targetOf(host), start: ++disk.starts };
    const { member, memberLimits } = sim.rules;
    this.view = member.startMember(this.#self, this.clock, memberLimits);
    this.#primary = new PrimarySide(this);
    this.#secondary = new SecondarySide(this);
    if (sim.rules.keepsUnfinishedWrites) this.#keepUnfinished();
    this.#register();
    this.every(BEAT_MS, () => this.#beat());
    this.every(WRITE_BACK_MS, () => disk.writeBack(sim.random.between(0, disk.registers.length - 1)));
    this.every(HEARTBEAT_MS, () => this.#heartbeat());
  }

  receive(message: Message, from: Process): void {
    switch (message.type) {
      case 'map':
        this.#answered = message.answers;
        this.#adopt(message.record);
        return;
      case 'register-first':
        this.#register();
        return;
      case 'beat':
        this.#hearBeat(message, from);
        return;
      case 'read':
        this.#read(message, from);
        return;
      case 'refused':
        if (message.epoch > this.view.epoch) this.view = { ...this.view, superseded: true };
        return;
      case 'write':
        this.#primary.takeWrite(message, from);
        return;
      case 'forwarded':
      case 'resync-begun':
      case 'copied':
      case 'mark-cleared':
        this.#primary.takeAnswer(message);
        return;
      case 'forward':
      case 'begin-resync':
      case 'copy':
      case 'clear-mark':
        this.#secondary.take(message, from);
        return;
      default:
        throw new Error(`a member does not know ${message.type}`);
    }
  }

  send(to: HostName, message: Message): void {
    this.sim.send(this, to, message);
  }

  answer(to: Process, answer: Omit<Message & { type: 'answer' }, 'type'>): void {
    this.send(to.host, { type: 'answer', ...answer });
  }

  hold(register: number, work: () => void): void {
    const waiting = this.#held.get(register);
    if (waiting !== undefined) waiting.push(work);
    else {
      this.#held.set(register, []);
      work();
    }
  }

  free(register: number): void {
    const next = this.#held.get(register)?.shift();
    if (next === undefined) this.#held.delete(register);
    else next();
  }

  /** Writes that the predecessor left unfinished keep their registers from everybody but their clients. */
  get hasUnfinished(): boolean {
    return this.#unfinished.size > 0;
  }

  holdForRetry(register: number, client: string, sequence: number, work: () => void): void {
    for (const [left, owner] of this.#unfinished) {
      if (owner.client !== client || sequence < owner.sequence) continue;
      this.#unfinished.delete(left);
      if (left === register && sequence === owner.sequence) {
        work();
        return;
      }
      this.free(left);
    }
    this.hold(register, work);
  }

  forgetUnfinished(): void {
    for (const register of this.#unfinished.keys()) this.free(register);
    this.#unfinished.clear();
  }

  isHeld(register: number): boolean {
    return this.#held.has(register);
  }

  /** After what a disk operation takes. */
  afterDisk(work: () => void): void {
    const { random } = this.sim;
    this.after(random.chance(0.02) ? random.between(20, 300) : random.between(0, 4), work);
  }

  #keepUnfinished(): void {
    for (const [client, { sequence, writing }] of this.disk.slots) {
      if (writing === undefined || this.#held.has(writing)) continue;
      this.#unfinished.set(writing, { client, sequence });
      this.hold(writing, () => {});
    }
    // By then its client has given up.
    this.after(CLIENT_DEADLINE_MS, () => this.forgetUnfinished());
  }

  #register(): void {
    const intact = !this.disk.cacheLost || !this.sim.rules.tellsLostCache;
    this.send('mgmtd', { type: 'register', ...this.#self, intact });
  }

  #beat(): void {
    const { member, memberLimits } = this.sim.rules;
    const { view, beat } = member.makeBeat(this.view, this.clock, memberLimits);
    this.view = view;
    this.send(this.other, { type: 'beat', beat, to: this.partner?.name });
  }

  #hearBeat({ beat, to }: Message & { type: 'beat' }, from: Process): void {
    if (to !== undefined && to !== this.name) return;
    if (this.partner !== from && from instanceof Replica) {
      // A new session: stamps that came on the old one mean nothing on it.
      this.partner = from;
      this.view = { ...this.view, heard: undefined };
    }
    const { member, memberLimits } = this.sim.rules;
    this.view = member.hearBeat(this.view, beat, this.clock, memberLimits);
  }

  #heartbeat(): void {
    const { heard, epoch } = this.view;
    const hearsPartner = heard !== undefined && this.clock - heard.at < this.sim.rules.memberLimits.partnerSilentAfterMs;
    this.send('mgmtd', { type: 'heartbeat', ...this.#self, epoch, hearsPartner, follows: this.#answered });
  }

  #adopt(record: GroupRecord): void {
    const before = this.view;
    this.view = this.sim.rules.member.adopt(before, record, this.clock);
    if (this.view.epoch === before.epoch) return;
    const { role, epoch, secondaryGood } = this.view;
    if (role === 'primary' || (role === 'secondary' && secondaryGood)) this.disk.cacheLost = false;
    this.sim.log(`${this.name} is ${role} of epoch ${epoch}`);
    this.#secondary.epochBegins();
    this.#primary.epochBegins();
  }

  /** The primary reads between writes; a secondary sends readers of what may not be on both copies to the primary. */
  #read({ attempt, epoch, register }: Message & { type: 'read' }, client: Process): void {
    const { member, checksAfterReading, hidesUncommitted } = this.sim.rules;
    if (!member.isCurrent(this.view, epoch) || !member.mayServe(this.view, this.clock)) {
      this.answer(client, { attempt, error: 'stale' });
      return;
    }
    const isPrimary = this.view.role === 'primary';
    const waits = isPrimary && hidesUncommitted;
    const read = (): void => {
      const value = this.disk.registers[register] as number;
      if (waits) this.free(register);
      this.afterDisk(() => {
        const serves = this.view.epoch === epoch && member.mayServe(this.view, this.clock);
        if (checksAfterReading && !serves) return this.answer(client, { attempt, error: 'stale' });
        if (hidesUncommitted && !isPrimary && (this.#secondary.mayBeAlone(register) || this.isHeld(register)))
          return this.answer(client, { attempt, error: 'ask-primary' });
        this.sim.log(`${this.name} gives register ${register} as ${value}, epoch ${epoch}`);
        this.answer(client, { attempt, value });
      });
    };
    if (waits) this.hold(register, read);
    else this.afterDisk(read);
  }
}
