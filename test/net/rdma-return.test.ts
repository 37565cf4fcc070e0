/** When a session over TCP is ended for one over RDMA. */
import t from 'tap';
import { mayReturn, type Outlook, PATH_RETRY_MS } from '../../src/net/rdma-return.js';

t.test('only for a trouble of one side that is over, or after an hour', async (t) => {
  const cases: readonly (readonly [string, Partial<Outlook>, boolean])[] = [
    ['the path was tried and carries no RDMA', {}, false],
    ['it is tried again in an hour', { sessionAgeMs: PATH_RETRY_MS }, true],
    ['this side still cannot', { own: 'port down', hadTrouble: true }, false],
    ['nor in an hour', { own: 'port down', hadTrouble: true, sessionAgeMs: PATH_RETRY_MS }, false],
    ['the peer still cannot', { peer: 'port down', hadTrouble: true }, false],
    ['the peer does not say', { peer: undefined, hadTrouble: true }, false],
    ['one could not, and both can now', { hadTrouble: true }, true],
  ];
  for (const [name, known, expected] of cases)
    t.equal(mayReturn({ own: '', peer: '', hadTrouble: false, sessionAgeMs: 10_000, ...known }), expected, name);
});
