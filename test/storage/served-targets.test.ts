import { test } from 'tap';
import { ServedTargets } from '../../src/storage/served-targets.js';
import { refusal } from '../support/properties.js';

test('a target is served from one folder for as long as the daemon runs', (t) => {
  const calls: string[] = [];
  const served = new ServedTargets({
    addTarget: (target, path, since) => calls.push(`add ${target} ${path} ${since}`),
    setTargetMapVersion: (target, since) => calls.push(`version ${target} ${since}`),
    removeTarget: (target) => calls.push(`remove ${target}`),
  });
  served.serve('/a', 1, 5);
  served.serve('/a', 1, 6);
  t.throws(() => served.serve('/b', 1, 6), refusal('ERR_WRONG_DISK', /target 1 is served from \/a; \/b is a copy of it/));
  served.serve('/b', 2, 7);
  served.close();
  t.same(calls, ['add 1 /a/chunks 5', 'version 1 6', 'add 2 /b/chunks 7', 'remove 1', 'remove 2']);
  t.end();
});
