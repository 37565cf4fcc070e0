/** Reads and writes registers one after the other, each until it has an answer, wherever the map sends it. */
import type { GroupRecord } from '../../../src/wire/cluster-map.js';
import type { History, Operation } from './history.js';
import type { Message } from './messages.js';
import { hostOf } from './replica.js';
import { type HostName, Process, type Simulation } from './simulation.js';

const ANSWER_MS = 120;
const PAUSE_MS_MAX = 40;

export class Client extends Process {
  readonly #history: History;
  readonly #registers: number;
  readonly #nextValue: () => number;
  readonly #writes: number;
  #record: GroupRecord;
  #operation: Operation | undefined;
  #sequence = 0;
  #attempt = 0;
  #firstAttempt = 0;
  #primaryOnly = false;
  /** No more operations after the present one. */
  resting = false;

  constructor(sim: Simulation, host: HostName, record: GroupRecord, history: History, registers: number, nextValue: () => number) {
    super(sim, host);
    this.#record = record;
    this.#history = history;
    this.#registers = registers;
    this.#nextValue = nextValue;
    // Who mostly reads goes on where writes have to wait.
    this.#writes = sim.random.pick([0.05, 0.3, 0.7]);
    this.after(sim.random.between(0, PAUSE_MS_MAX), () => this.#next());
  }

  get isIdle(): boolean {
    return this.resting && this.#operation === undefined;
  }

  receive(message: Message): void {
    if (message.type === 'map') {
      if (message.record.epoch > this.#record.epoch) this.#record = message.record;
      return;
    }
    if (message.type !== 'answer') throw new Error(`a client does not know ${message.type}`);
    const operation = this.#operation;
    if (operation === undefined || message.attempt < this.#firstAttempt) return;
    // What an earlier attempt is answered counts too, as long as it is no error.
    if (message.error !== undefined && message.attempt !== this.#attempt) return;
    if (message.error === 'ask-primary') {
      this.#primaryOnly = true;
      this.#try(operation);
      return;
    }
    if (message.error !== undefined) {
      this.sim.send(this, 'mgmtd', { type: 'ask-map' } satisfies Message);
      return;
    }
    if (operation.kind === 'read') operation.value = message.value ?? Number.NaN;
    operation.ended = this.sim.now;
    this.sim.log(`${this.name} ${operation.kind} register ${operation.register} ${operation.value} done`);
    this.#operation = undefined;
    this.after(this.sim.random.between(0, PAUSE_MS_MAX), () => this.#next());
  }

  #next(): void {
    if (this.resting) return;
    const { random } = this.sim;
    const kind = random.chance(this.#writes) ? 'write' : 'read';
    const register = random.between(0, this.#registers - 1);
    const value = kind === 'write' ? this.#nextValue() : Number.NaN;
    if (kind === 'write') this.#sequence++;
    this.#operation = this.#history.begin(kind, register, this.name, value, this.sim.now);
    this.#primaryOnly = false;
    this.#firstAttempt = this.#attempt + 1;
    this.#try(this.#operation);
  }

  #try(operation: Operation): void {
    const attempt = ++this.#attempt;
    const { epoch, primary, secondary } = this.#record;
    const { register, value } = operation;
    const anyCopy = operation.kind === 'read' && !this.#primaryOnly && secondary.consistency === 'good';
    const target = anyCopy && this.sim.random.chance(0.5) ? secondary.target : primary.target;
    const message: Message =
      operation.kind === 'write'
        ? { type: 'write', attempt, epoch, register, value, sequence: this.#sequence }
        : { type: 'read', attempt, epoch, register };
    this.sim.send(this, hostOf(target), message);
    this.after(ANSWER_MS, () => {
      if (this.#operation !== operation || this.#attempt !== attempt) return;
      this.sim.send(this, 'mgmtd', { type: 'ask-map' } satisfies Message);
      this.#try(operation);
    });
  }
}
