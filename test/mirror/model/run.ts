/** One run of the model: faults, then peace, then what is wrong, if anything. */
import { type FaultName, scheduleFaults } from './faults.js';
import { type Rules, realRules } from './rules.js';
import { World } from './world.js';

const FAULTS_MS = 6_000;
const PEACE_MS_MAX = 20_000;
const PEACE_STEP_MS = 250;

export interface Outcome {
  /** What must never happen. */
  readonly unsafe: string | undefined;
  /** The group did not come to rest after the faults. */
  readonly unsettled: boolean;
  readonly trace: readonly string[];
  readonly epochs: number;
}

/** faults: only these kinds. */
export function runModel(seed: number, rules: Rules = realRules, faults?: readonly FaultName[]): Outcome {
  const world = new World(seed, rules);
  const { sim, clients } = world;
  scheduleFaults(world, 200, FAULTS_MS, faults);
  sim.run(FAULTS_MS + 300);
  world.heal();
  // Clients go on for a while, so that what was lost is missed.
  sim.run(sim.now + 500);
  for (const client of clients) client.resting = true;
  const end = sim.now + PEACE_MS_MAX;
  while (!world.isSettled && sim.now < end) sim.run(sim.now + PEACE_STEP_MS);
  const unsettled = !world.isSettled;
  return { unsafe: judge(world, !unsettled), unsettled, trace: sim.trace, epochs: world.record.epoch };
}

function judge(world: World, isSettled: boolean): string | undefined {
  const { sim, history, disks } = world;
  if (isSettled) {
    for (const [register, value] of disks.a.registers.entries()) {
      const other = disks.b.registers[register];
      if (other !== value) return `register ${register}: the copies are ${value} and ${other}`;
      history.begin('read', register, 'inspection', value, sim.now).ended = sim.now + 1;
    }
  }
  if (!world.wasBlackedOut) return history.check() ?? sim.wrong;
  const invented = disks.a.registers.find((value) => !history.hasWritten(value));
  return invented === undefined ? sim.wrong : `nobody has written ${invented}`;
}
