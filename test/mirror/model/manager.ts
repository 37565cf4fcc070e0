/** mgmtd as the model has it: the real group machine, a record that survives a crash, and who is told. */
import type { GroupEvent, GroupState } from '../../../src/mirror/group.js';
import { unseen } from '../../../src/mirror/group-machine.js';
import type { GroupRecord, TargetProcess } from '../../../src/wire/cluster-map.js';
import type { Message } from './messages.js';
import { hostOf } from './replica.js';
import { type HostName, Process, type Simulation } from './simulation.js';

type EventContent = GroupEvent extends infer Each ? (Each extends { readonly at: number } ? Omit<Each, 'at'> : never) : never;

export class Manager extends Process {
  #state: GroupState;
  readonly #keep: (record: GroupRecord) => void;
  readonly #listeners: readonly HostName[];

  constructor(sim: Simulation, record: GroupRecord, keep: (record: GroupRecord) => void, listeners: readonly HostName[]) {
    super(sim, 'mgmtd');
    this.#keep = keep;
    this.#listeners = listeners;
    this.#state = unseen(record, this.clock);
  }

  /** at: its own time, unless the event is about an earlier one. */
  happens(event: EventContent, at = this.clock): void {
    const { rules } = this.sim;
    const before = this.#state.record;
    const decision = rules.decideGroup(this.#state, { ...event, at } as GroupEvent, rules.groupLimits);
    this.#state = decision.state;
    const { record } = decision.state;
    if (decision.refusal !== undefined) this.sim.log(`mgmtd refuses ${event.type}: ${decision.refusal}`);
    if (record === before) return;
    const { epoch, primary, secondary, lingering } = record;
    const name = ({ target, start }: TargetProcess): string => `${hostOf(target)}.${start}`;
    this.sim.log(
      `epoch ${epoch}: primary ${name(primary)}, secondary ${name(secondary)} ${secondary.consistency}, lingering ${lingering.map(name).join(' ')}; ${decision.causes.join('; ')}`,
    );
    this.#keep(record);
    for (const listener of this.#listeners) this.#tell(listener);
  }

  receive(message: Message, from: Process): void {
    switch (message.type) {
      case 'register':
        this.happens({ ...message, type: 'registered', predecessorEnded: true });
        break;
      case 'heartbeat': {
        const { target, start, epoch, hearsPartner, follows } = message;
        const { record, primary, secondary } = this.#state;
        if ((record.primary.target === target ? primary : secondary).start !== start) {
          this.sim.send(this, from.host, { type: 'register-first' } satisfies Message);
          return;
        }
        // What follows the answer of an earlier mgmtd says nothing about the present time.
        if (follows?.mgmtd === this.name) {
          const at = this.sim.rules.datesSignsByAnswers ? follows.at : this.clock;
          this.happens({ type: 'heard', target, start, epoch, hearsPartner }, at);
        }
        break;
      }
      case 'secondary-failed':
      case 'resync-finished':
        this.happens(message);
        break;
      case 'ask-map':
        break;
      default:
        throw new Error(`mgmtd does not know ${message.type}`);
    }
    this.#tell(from.host);
  }

  #tell(host: HostName): void {
    this.sim.send(this, host, { type: 'map', record: this.#state.record, answers: { mgmtd: this.name, at: this.clock } } satisfies Message);
  }
}
