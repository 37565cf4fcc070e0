/** What goes wrong in a run, drawn by the seed: crashes, power cuts, standstills, partitions, an operator. */
import { targetOf } from './replica.js';
import type { Random } from './simulation.js';
import { hosts, type World } from './world.js';

type Fault = (world: World, random: Random) => void;

const anyMember = (random: Random): 'a' | 'b' => random.pick(['a', 'b']);

const faults = {
  'a member restarts at once': (world, random) => world.crash(anyMember(random), random.between(5, 300)),
  'a member dies': (world, random) => world.crash(anyMember(random), random.between(300, 2_500)),
  'both members die': (world, random) => {
    world.crash('a', random.between(5, 2_000));
    world.crash('b', random.between(5, 2_000));
  },
  'a member loses power': (world, random) => world.cutPower(anyMember(random), random.between(50, 2_500)),
  'a member stands still': (world, random) => world.stall(anyMember(random), random.between(50, 2_500)),
  'mgmtd stands still': (world, random) => world.stall('mgmtd', random.between(50, 2_500)),
  'mgmtd dies': (world, random) => world.crash('mgmtd', random.between(5, 2_000)),
  'members are parted': (world, random) => world.cut(betweenMembers(random), random.between(50, 2_500)),
  'a member is cut off': (world, random) => world.cut(aroundMember(random), random.between(50, 2_500)),
  'the network splits': (world, random) => world.cut(betweenIslands(random), random.between(200, 3_000)),
  'messages come late': (world, random) => world.slow(random.between(200, 2_000)),
  'all members lose power': (world) => world.blackOut(),
  'an operator interferes': (world, random) => world.setState(targetOf(anyMember(random)), 'needs-resync'),
} satisfies Readonly<Record<string, Fault>>;

export type FaultName = keyof typeof faults;

/** With all that lost what was not synced, histories say nothing any more: only who asks for that gets it. */
const allFaults = (Object.keys(faults) as FaultName[]).filter((name) => name !== 'all members lose power');

/** A run has a few kinds of faults, each perhaps often: that finds more than a little of everything. */
export function scheduleFaults(world: World, from: number, to: number, only: readonly FaultName[] | undefined): void {
  const { random } = world.sim;
  const drawn = allFaults.filter(() => random.chance(0.35));
  const kinds = only ?? (drawn.length > 0 ? drawn : allFaults);
  const cause = (): void => faults[random.pick(kinds)](world, random);
  const count = random.between(1, 12);
  for (let number = 0; number < count; number++) {
    const at = random.between(from, to);
    world.sim.schedule(at, undefined, cause);
    // Troubles come in pairs.
    if (random.chance(0.3)) world.sim.schedule(at + random.between(0, 500), undefined, cause);
  }
}

function betweenMembers(random: Random): string[] {
  return random.pick([['a>b'], ['b>a'], ['a>b', 'b>a']]);
}

function aroundMember(random: Random): string[] {
  const member = anyMember(random);
  const other = member === 'a' ? 'b' : 'a';
  const fromMgmtd = [`${member}>mgmtd`, ...(random.chance(0.7) ? [`mgmtd>${member}`] : [])];
  return random.chance(0.5) ? fromMgmtd : [...fromMgmtd, `${member}>${other}`, `${other}>${member}`];
}

/** Each host is on one of two sides, and nothing gets from one side to the other, or only one way. */
function betweenIslands(random: Random): string[] {
  // Mostly the members are on different sides: it is there that two might act at a time.
  const apart = random.chance(0.7);
  const left = hosts.filter((host) => (apart && host === 'a') || (random.chance(0.5) && !(apart && host === 'b')));
  const right = hosts.filter((host) => !left.includes(host));
  const out = left.flatMap((from) => right.map((to) => `${from}>${to}`));
  const back = left.flatMap((to) => right.map((from) => `${from}>${to}`));
  return random.chance(0.8) ? [...out, ...back] : random.chance(0.5) ? out : back;
}
