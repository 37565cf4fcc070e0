#!/usr/bin/env node
// The `ibex` command. Kept to plain JavaScript so that it can say what is wrong when nothing is built yet.
import { existsSync } from 'node:fs';

const main = new URL('../dist/src/cli/main.js', import.meta.url);
if (!existsSync(main)) {
  console.error('ibex: not built yet: run `npm start` or `npm run build` in the checkout');
  process.exit(1);
}
await import(main.href);
