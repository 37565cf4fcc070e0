import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { IbexError } from '../../src/wire/errors.js';
import { FrameType, QueuePairOfferBytes } from '../../src/wire/generated.js';
import {
  ClientHandshake,
  encodeRefusal,
  type HandshakeStep,
  type Identity,
  type QueuePairWord,
  ServerHandshake,
} from '../../src/wire/handshake.js';
import { checks, refusal } from '../support/properties.js';

const key = randomBytes(32);
const client: Identity = { kind: 'client', name: 'laptop:7', clientId: randomBytes(16).toString('hex'), nodeId: 0 };
const server: Identity = { kind: 'storage', name: 'storage1', clientId: randomBytes(16).toString('hex'), nodeId: 3 };

type Frame = NonNullable<HandshakeStep['frame']>;
const frameOf = (step: HandshakeStep): Frame => step.frame as Frame;

/** Runs an exchange; `alter` may change or replace frames on their way. */
function exchange(clientKey: Buffer, serverKey: Buffer, alter: (frame: Frame) => Frame = (frame) => frame) {
  const one = new ClientHandshake(clientKey, client);
  const other = new ServerHandshake(serverKey, server);
  const challenge = other.receive(...args(alter(frameOf(one.start()))));
  const proof = one.receive(...args(alter(frameOf(challenge))));
  const welcome = other.receive(...args(alter(frameOf(proof))));
  const done = one.receive(...args(alter(frameOf(welcome))));
  return { client: done.result, server: welcome.result };
}

const args = (frame: Frame): [FrameType, Buffer] => [frame.type, frame.body];

t.test('both sides learn who the other is and share a session key', async (t) => {
  const { client: atClient, server: atServer } = exchange(key, key);
  t.strictSame(atClient?.peer, server);
  t.strictSame(atServer?.peer, client);
  t.ok(atClient?.sessionKey.equals(atServer?.sessionKey as Buffer));
  const again = exchange(key, key);
  t.notOk(again.client?.sessionKey.equals(atClient?.sessionKey as Buffer), 'and another one the next time');
});

/** An exchange in which each side says something of a queue pair, with the client's last word; `alter` as above. */
function exchangeOffers(
  clientWord: QueuePairWord | undefined,
  serverWord: QueuePairWord | undefined,
  alter: (frame: Frame) => Frame = (frame) => frame,
) {
  const one = new ClientHandshake(key, client);
  const asked: (QueuePairWord | undefined)[] = [];
  const other = new ServerHandshake(key, server, (word) => {
    asked.push(word);
    return serverWord;
  });
  const challenge = other.receive(...args(alter(frameOf(one.start(clientWord)))));
  t.strictSame(asked, [], 'nothing is made for who has proven nothing');
  const proof = one.receive(...args(alter(frameOf(challenge))));
  const welcome = other.receive(...args(alter(frameOf(proof))));
  const done = one.receive(...args(alter(frameOf(welcome))));
  return { one, other, client: done.result, server: welcome.result, asked };
}

const offer = (fill: number): QueuePairWord => ({ offer: Buffer.alloc(QueuePairOfferBytes, fill) });

t.test('queue pairs are offered within the exchange, and the client says what carries the session', async (t) => {
  const { one, other, client: atClient, server: atServer } = exchangeOffers(offer(1), offer(2));
  t.strictSame(atClient?.queuePair, offer(2));
  t.strictSame(atServer?.queuePair, offer(1));
  t.equal(other.awaitsCarrier, true);
  const { carrier } = other.receive(...args(frameOf(one.carrier({ rdma: true, reason: 'it works' }))));
  t.strictSame(carrier, { rdma: true, reason: 'it works' });
  t.equal(other.awaitsCarrier, false);
});

t.test('a side without a queue pair says why, or nothing, and then there is no last word', async (t) => {
  const why = exchangeOffers({ reason: 'no device' }, { reason: 'off' });
  t.strictSame([why.client?.queuePair, why.asked, why.other.awaitsCarrier], [{ reason: 'off' }, [{ reason: 'no device' }], false]);
  const silent = exchangeOffers(undefined, offer(2));
  t.strictSame([silent.client?.queuePair, silent.other.awaitsCarrier], [undefined, false], 'who says nothing is told nothing');
});

t.test('an altered offer or last word makes the exchange fail', async (t) => {
  for (const type of [FrameType.hello, FrameType.welcome]) {
    const alter = (frame: Frame): Frame => {
      if (frame.type !== type) return frame;
      const body = Buffer.from(frame.body);
      const at = type === FrameType.hello ? body.length - 1 : 3;
      body[at] = (body[at] as number) ^ 1;
      return { type, body };
    };
    t.throws(() => exchangeOffers(offer(1), offer(2), alter), refusal('ERR_HANDSHAKE_REFUSED', /cluster key/));
  }
  const { one, other } = exchangeOffers(offer(1), offer(2));
  const { type, body } = frameOf(one.carrier({ rdma: true, reason: '' }));
  body[0] = 0;
  t.throws(() => other.receive(type, body), refusal('ERR_HANDSHAKE_REFUSED', /cluster key/));
  t.throws(() => other.receive(FrameType.carrier, Buffer.alloc(32)), refusal('ERR_BAD_FRAME'));
});

t.test('a client with another key refuses the server before it proves anything', async (t) => {
  t.throws(() => exchange(randomBytes(32), key), refusal('ERR_HANDSHAKE_REFUSED', /cluster key/));
});

t.test('a server refuses a client that cannot prove the key', async (t) => {
  const other = new ServerHandshake(key, server);
  other.receive(...args(frameOf(new ClientHandshake(key, client).start())));
  t.throws(() => other.receive(FrameType.proof, randomBytes(32)), refusal('ERR_HANDSHAKE_REFUSED'));
});

t.test('any flipped bit of any frame makes the exchange fail', async (t) => {
  checks(
    t,
    fc.property(fc.nat(3), fc.nat(), (which, position) => {
      let count = 0;
      const alter = (frame: Frame): Frame => {
        if (count++ !== which) return frame;
        const body = Buffer.from(frame.body);
        const bit = position % (body.length * 8);
        body[bit >> 3] = (body[bit >> 3] as number) ^ (1 << (bit & 7));
        return { type: frame.type, body };
      };
      try {
        exchange(key, key, alter);
      } catch (error) {
        return error instanceof IbexError;
      }
      return false;
    }),
  );
});

t.test('a recorded proof is worth nothing in another exchange', async (t) => {
  let recorded: Frame | undefined;
  exchange(key, key, (frame) => {
    if (frame.type === FrameType.proof) recorded = frame;
    return frame;
  });
  t.throws(
    () => exchange(key, key, (frame) => (frame.type === FrameType.proof ? (recorded as Frame) : frame)),
    refusal('ERR_HANDSHAKE_REFUSED'),
  );
});

t.test('a whole recorded conversation cannot be replayed to a server', async (t) => {
  const recorded: Frame[] = [];
  exchange(key, key, (frame) => {
    recorded.push(frame);
    return frame;
  });
  const other = new ServerHandshake(key, server);
  other.receive(...args(recorded[0] as Frame));
  t.throws(() => other.receive(...args(recorded[2] as Frame)), refusal('ERR_HANDSHAKE_REFUSED'));
});

t.test('a server that echoes what it was sent is refused', async (t) => {
  const one = new ClientHandshake(key, client);
  const hello = frameOf(one.start());
  t.throws(() => one.receive(FrameType.challenge, Buffer.concat([hello.body.subarray(2), Buffer.alloc(32)])), IbexError);
});

t.test('an unknown version is refused by name', async (t) => {
  const other = new ServerHandshake(key, server);
  const body = Buffer.from(frameOf(new ClientHandshake(key, client).start()).body);
  body.writeUInt16LE(900, 0);
  body.writeUInt16LE(901, 2);
  t.throws(() => other.receive(FrameType.hello, body), refusal('ERR_HANDSHAKE_REFUSED', /versions 900 to 901/));
});

t.test('truncated, oversized and out-of-turn frames are refused', async (t) => {
  const hello = frameOf(new ClientHandshake(key, client).start()).body;
  for (let length = 0; length < hello.length; length++) {
    t.throws(() => new ServerHandshake(key, server).receive(FrameType.hello, hello.subarray(0, length)), refusal('ERR_BAD_FRAME'));
  }
  t.throws(
    () => new ServerHandshake(key, server).receive(FrameType.hello, Buffer.concat([hello, Buffer.alloc(1)])),
    refusal('ERR_BAD_FRAME'),
  );
  t.throws(() => new ServerHandshake(key, server).receive(FrameType.proof, hello), refusal('ERR_BAD_FRAME'));
  t.throws(() => new ClientHandshake(key, client).receive(FrameType.welcome, Buffer.alloc(32)), refusal('ERR_BAD_FRAME'));
});

t.test('any bytes at any step end in a typed error', async (t) => {
  const types = [FrameType.hello, FrameType.challenge, FrameType.proof, FrameType.welcome, FrameType.refuse];
  checks(
    t,
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(...types), fc.boolean(), (bytes, type, atServer) => {
      const one = new ClientHandshake(key, client);
      one.start();
      const side = atServer ? new ServerHandshake(key, server) : one;
      try {
        side.receive(type, Buffer.from(bytes));
      } catch (error) {
        return error instanceof IbexError;
      }
      return atServer && type === FrameType.hello;
    }),
    { numRuns: 3000 },
  );
});

t.test('a refusal tells the client why', async (t) => {
  const one = new ClientHandshake(key, client);
  one.start();
  const body = encodeRefusal(new IbexError('ERR_HANDSHAKE_REFUSED', 'come back with the right key'));
  t.throws(() => one.receive(FrameType.refuse, body), refusal('ERR_HANDSHAKE_REFUSED', /right key/));
});
