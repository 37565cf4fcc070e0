/**
 * What clients did to registers and saw, and whether that is linearizable. All written values differ, so it is enough to
 * look at each value's zone (Gibbons and Korach, "Testing shared memories", 1997, section 4): from the first end to the
 * last beginning of the write and the reads of the value.
 */

export interface Operation {
  readonly kind: 'read' | 'write';
  readonly register: number;
  readonly who: string;
  /** Of a read: known at its end. */
  value: number;
  readonly begun: number;
  /** Infinity: it never ended, so it may have happened at any time after it began, or never. */
  ended: number;
}

/** Every register holds this first. */
export const INITIAL = 0;

export class History {
  readonly operations: Operation[] = [];

  begin(kind: Operation['kind'], register: number, who: string, value: number, begun: number): Operation {
    const operation: Operation = { kind, register, who, value, begun, ended: Number.POSITIVE_INFINITY };
    this.operations.push(operation);
    return operation;
  }

  hasWritten(value: number): boolean {
    return value === INITIAL || this.operations.some((operation) => operation.kind === 'write' && operation.value === value);
  }

  /** What is wrong with it; undefined: nothing. */
  check(): string | undefined {
    for (const register of new Set(this.operations.map((operation) => operation.register))) {
      const wrong = checkRegister(this.operations.filter((operation) => operation.register === register));
      if (wrong !== undefined) return `register ${register}: ${wrong}`;
    }
    return undefined;
  }
}

interface Zone {
  readonly value: number;
  readonly firstEnd: number;
  readonly lastBegin: number;
}

const text = ({ kind, value, who, begun, ended }: Operation): string => `${who} ${kind} ${value} [${begun}, ${ended}]`;

function checkRegister(operations: readonly Operation[]): string | undefined {
  const zones: Zone[] = [];
  const writes = new Map(operations.filter(({ kind }) => kind === 'write').map((write) => [write.value, write]));
  writes.set(INITIAL, { kind: 'write', register: 0, who: 'nobody', value: INITIAL, begun: -1, ended: -1 });
  const reads = new Map<number, Operation[]>();
  for (const read of operations) {
    if (read.kind === 'read' && read.ended !== Number.POSITIVE_INFINITY) reads.set(read.value, [...(reads.get(read.value) ?? []), read]);
  }
  for (const [value, found] of reads) {
    const write = writes.get(value);
    const early = found.find((read) => write === undefined || read.ended < write.begun);
    if (early !== undefined) return `${text(early)} reads what nobody had begun to write`;
  }
  for (const [value, write] of writes) {
    const all = [write, ...(reads.get(value) ?? [])];
    if (all.length === 1 && write.ended === Number.POSITIVE_INFINITY) continue;
    zones.push({ value, firstEnd: Math.min(...all.map(({ ended }) => ended)), lastBegin: Math.max(...all.map(({ begun }) => begun)) });
  }
  return checkZones(zones);
}

function checkZones(zones: readonly Zone[]): string | undefined {
  const forward = zones.filter(({ firstEnd, lastBegin }) => firstEnd < lastBegin).sort((a, b) => a.firstEnd - b.firstEnd);
  for (const [index, zone] of forward.entries()) {
    const next = forward[index + 1];
    if (next !== undefined && next.firstEnd < zone.lastBegin)
      return `value ${zone.value} (from ${zone.firstEnd} to ${zone.lastBegin}) and value ${next.value} (from ${next.firstEnd} to ${next.lastBegin}) were both there`;
  }
  for (const { value, firstEnd, lastBegin } of zones) {
    if (firstEnd < lastBegin) continue;
    const around = forward.find((zone) => zone.firstEnd < lastBegin && firstEnd < zone.lastBegin);
    if (around !== undefined)
      return `value ${value} (from ${lastBegin} to ${firstEnd}) within value ${around.value} (from ${around.firstEnd} to ${around.lastBegin})`;
  }
  return undefined;
}
