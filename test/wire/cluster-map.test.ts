import fc from 'fast-check';
import { test } from 'tap';
import { entryOf } from '../../src/wire/cluster-map.js';
import { checks } from '../support/properties.js';

test('entries are found by their ids, others are not', async (t) => {
  checks(
    t,
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 100 })), (ids) => {
      const entries = ids.sort((a, b) => a - b).map((id) => ({ id }));
      return Array.from({ length: 102 }, (_, id) => id).every((id) => entryOf(entries, id) === entries.find((entry) => entry.id === id));
    }),
  );
});
