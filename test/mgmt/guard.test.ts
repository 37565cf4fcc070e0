import { test } from 'tap';
import { decideNode, decideTarget, type NodeFacts, refusalError, type TargetFacts } from '../../src/mgmt/guard.js';
import type { NodeId, TargetId } from '../../src/wire/fid.js';
import { uuid } from './support.js';

const node = (id: number): NodeId => id as NodeId;
const target = (id: number): TargetId => id as TargetId;

test('which node may register', async (t) => {
  const storage: NodeFacts = { uuid: uuid(1), kind: 'storage', peerKind: 'storage' };
  const known: NodeFacts = { ...storage, known: { id: node(3), kind: 'storage' } };
  const cases: readonly [string, NodeFacts, string, RegExp?][] = [
    ['a new node', storage, 'new'],
    ['a node that comes back', known, 'known'],
    ['a client that says it is storage', { ...storage, peerKind: 'client' }, 'ERR_NOT_PERMITTED'],
    ['a metadata daemon that says it is storage', { ...storage, peerKind: 'meta' }, 'ERR_NOT_PERMITTED'],
    ['no uuid', { ...storage, uuid: '' }, 'ERR_INVALID'],
    ['a folder of the other kind', { ...storage, known: { id: node(3), kind: 'meta' } }, 'ERR_INVALID', /node 3 is a meta node/],
    ['mgmtd itself', { ...storage, known: { id: node(1), kind: 'mgmtd' } }, 'ERR_INVALID'],
    ['an alias that is taken', { ...storage, alias: 'a', aliasOwner: node(4) }, 'ERR_EXISTS', /"a" belongs to node 4/],
    ['a copied data folder', { ...known, liveElsewhere: { sameProcess: false, address: 'other:1' } }, 'ERR_TRY_AGAIN', /alive at other:1/],
    ['the same process on a new connection', { ...known, liveElsewhere: { sameProcess: true, address: 'same:1' } }, 'known'],
  ];
  for (const [name, facts, expected, reason = /./] of cases) {
    const verdict = decideNode(facts);
    t.equal(verdict.verdict === 'refuse' ? verdict.error : verdict.verdict, expected, name);
    if (verdict.verdict === 'refuse') t.match(verdict.reason, reason, name);
  }
});

test('which target may register', async (t) => {
  const caller = { id: node(3), kind: 'storage' } as const;
  const fresh: TargetFacts = { kind: 'storage', ownClusterId: 'c', caller };
  const back: TargetFacts = {
    ...fresh,
    target: target(7),
    token: 'secret',
    clusterId: 'c',
    known: { kind: 'storage', token: 'secret', node: node(3) },
  };
  const retried: TargetFacts = { ...fresh, token: 'secret', madeForToken: { id: target(7), kind: 'storage', node: node(3) } };
  const cases: readonly [string, TargetFacts, string, RegExp?][] = [
    ['a new folder', fresh, 'new'],
    ['a new folder with a token of its own', { ...fresh, token: 'secret' }, 'new'],
    ['a first registration whose answer was lost', retried, 'known 7'],
    ['a copy of a folder whose first registration succeeded', { ...retried, liveOn: node(4) }, 'ERR_WRONG_DISK', /alive on node 4/],
    [
      'a token of a target of the other kind',
      { ...retried, madeForToken: { id: target(7), kind: 'meta', node: node(3) } },
      'ERR_WRONG_DISK',
    ],
    [
      'a token of a target of another node',
      { ...retried, madeForToken: { id: target(7), kind: 'storage', node: node(9) } },
      'ERR_WRONG_DISK',
      /on node 9; this folder is a copy/,
    ],
    ['a target that comes back', back, 'known 7'],
    ['a disk that was put into another node', { ...back, known: { kind: 'storage', token: 'secret', node: node(9) } }, 'moved 7 from 9'],
    [
      'a cloned disk',
      { ...back, known: { kind: 'storage', token: 'secret', node: node(9) }, liveOn: node(9) },
      'ERR_WRONG_DISK',
      /alive on node 9; this folder is a copy/,
    ],
    ['no node yet', { ...back, caller: undefined }, 'ERR_NOT_REGISTERED'],
    ['a node of another kind', { ...back, caller: { id: node(3), kind: 'meta' } }, 'ERR_INVALID'],
    ['a disk of another cluster', { ...back, clusterId: 'x' }, 'ERR_WRONG_DISK', /cluster x, this is c/],
    [
      'a disk of another cluster with an unknown id',
      { ...back, clusterId: 'x', known: undefined },
      'ERR_WRONG_DISK',
      /cluster x, this is c/,
    ],
    ['an id that mgmtd never gave', { ...back, known: undefined }, 'ERR_WRONG_DISK', /unknown here/],
    ['a wrong token', { ...back, token: 'other' }, 'ERR_WRONG_DISK', /token/],
    ['no token', { ...back, token: undefined }, 'ERR_WRONG_DISK', /no token/],
    [
      'a metadata folder given to a storage daemon',
      { ...back, known: { kind: 'meta', token: 'secret', node: node(3) } },
      'ERR_WRONG_DISK',
      /meta target/,
    ],
    ['a folder that knows its cluster and not itself', { ...fresh, clusterId: 'c' }, 'ERR_WRONG_DISK', /no target/],
  ];
  for (const [name, facts, expected, reason = /./] of cases) {
    const verdict = decideTarget(facts);
    const text =
      verdict.verdict === 'refuse'
        ? verdict.error
        : verdict.verdict === 'new'
          ? 'new'
          : verdict.verdict === 'known'
            ? `known ${verdict.id}`
            : `moved ${verdict.id} from ${verdict.from}`;
    t.equal(text, expected, name);
    if (verdict.verdict === 'refuse') t.match(refusalError(verdict).message, reason, name);
  }
});
