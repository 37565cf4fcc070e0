/** A worker thread with a native runtime that never rests: connections come and go until it exits, without close(). */
import { parentPort } from 'node:worker_threads';
import { Runtime } from '../../src/net/runtime.js';

const runtime = new Runtime({ reactorThreads: 1, diskEngine: 'threads' });
const { port } = runtime.native.listen('127.0.0.1', 0, 'threads');
let connected = 0;

function connect(): void {
  const connection = runtime.native.connect('127.0.0.1', port, connected % 2 === 0 ? -1 : 0);
  runtime.attach(connection, {
    opened: () => {
      connected++;
      if (connected === 20) parentPort?.postMessage('busy');
      runtime.closeConnection(connection, 'next');
    },
    closed: connect,
    frame: () => undefined,
  });
}

for (let i = 0; i < 8; i++) connect();
parentPort?.on('message', () => process.exit(7));
