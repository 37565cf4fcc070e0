/** What a target has on its disk. kill -9 takes nothing of it; a power cut takes what was not synced. */
import { INITIAL } from './history.js';

/** The last sequence of a client that a copy has, in memory that outlives the process. */
export interface Slot {
  readonly sequence: number;
  /** The register that it is being written to; undefined: it is there, on both copies where both are needed. */
  readonly writing: number | undefined;
}

export class Disk {
  registers: number[];
  /** Registers that the other copy may have otherwise; synced when they are set. */
  readonly marks = new Set<number>();
  /** Of processes that have served it. */
  starts = 0;
  /** By client. */
  slots = new Map<string, Slot>();
  /** The machine went down since the copy was in use. */
  cacheLost = false;
  readonly #syncedRegisters: number[];
  #syncedSlots = new Map<string, Slot>();

  constructor(registers: number) {
    this.registers = new Array<number>(registers).fill(INITIAL);
    this.#syncedRegisters = [...this.registers];
  }

  /** Nothing, when the sequence is to be written; otherwise it is there already, or older than what is. */
  has(client: string, sequence: number, recognisesRetries: boolean): boolean {
    const slot = this.slots.get(client);
    if (slot === undefined || sequence > slot.sequence) return false;
    return sequence < slot.sequence || (recognisesRetries && slot.writing === undefined);
  }

  /** The kernel does it when it likes. */
  writeBack(register: number): void {
    this.#syncedRegisters[register] = this.registers[register] as number;
  }

  sync(register: number): void {
    this.writeBack(register);
    this.#syncedSlots = new Map(this.slots);
  }

  loseCache(): void {
    this.registers = [...this.#syncedRegisters];
    this.slots = new Map(this.#syncedSlots);
    this.cacheLost = true;
  }
}
