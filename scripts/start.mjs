// `npm start`: sets up what is missing, then becomes `ibex dev` with the flags after `--`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './install.mjs';
import { main, setup } from './setup.mjs';

/** npm sends Ctrl-C and SIGTERM to us as well as the terminal does to the child: it alone decides how to stop. */
function ibex(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, 'bin', 'ibex.mjs'), ...args], { stdio: 'inherit' });
    process.on('SIGINT', () => {});
    for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    child.once('error', (error) => {
      console.error(`ibex: ${error.message}`);
      resolve(1);
    });
    child.once('close', (code) => resolve(code ?? 1));
  });
}

await main(async (args) => {
  await setup('run');
  return await ibex(['dev', ...args]);
});
