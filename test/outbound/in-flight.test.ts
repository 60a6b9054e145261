import { afterEach, describe, expect, it } from '@jest/globals';
import { type ConnectedClient, type WebSocketOptions, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { Peer } from '../support/peer.js';
import { frameBytes, RawPeer } from '../support/raw-peer.js';
import { until } from '../support/until.js';

const KILOBYTE = 'x'.repeat(1_000);
const message = (n: number) => ({ type: 'news', action: 'flash', data: { n, text: KILOBYTE } });
/** The end of this turn of the event loop, and with it the flush. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** Keeps its first call waiting until it is let go. */
class Gate {
  letGo: () => void = () => undefined;

  @WsRoute('gate', 'endless')
  async *endless(): AsyncGenerator<string> {
    for (;;) yield KILOBYTE;
  }

  @WsRoute('gate', 'pass')
  pass(): Promise<void> {
    return new Promise((resolve) => (this.letGo = resolve));
  }
}

describe('L3: what is on its way to a client that shows no sign of reading', () => {
  let running: RunningApp;
  const raw: RawPeer[] = [];
  const start = async (
    backpressure: NonNullable<WebSocketOptions['backpressure']> = {},
    options: WebSocketOptions = {},
  ): Promise<void> => {
    running = await startApp({
      // A ping of the heartbeat goes after what waits, and takes it along.
      options: { heartbeat: false, backpressure: { maxInFlightBytes: 100_000, ...backpressure }, ...options },
      providers: [Gate],
    });
  };
  afterEach(async () => {
    for (const peer of raw.splice(0)) peer.reset();
    await running.close();
  });

  const open = async (): Promise<RawPeer> => {
    const peer = await RawPeer.open(running.port);
    raw.push(peer);
    return peer;
  };
  const clientOf = (peer: Peer | RawPeer): ConnectedClient =>
    running.clients.getClient({
      clientId: peer instanceof Peer ? peer.clientId : peer.messages[0].data.clientId,
    }) as ConnectedClient;
  const status = () => running.server.status.backpressure;
  /** Kilobytes, each in a turn of its own, until the client waits or is gone. */
  const sendWhile = async (client: ConnectedClient, goesOn: () => boolean, most = 3_000): Promise<number> => {
    let n = 0;
    for (; goesOn() && n < most; n++) {
      client.send(message(n));
      await turn();
    }
    return n;
  };
  const numbers = (peer: Peer | RawPeer): number[] =>
    (peer instanceof Peer ? peer.received : peer.messages)
      .filter(({ type }) => type === 'news')
      .map(({ data }) => data.n);

  it('is bounded: the rest waits here, and the budget closes it long before the operating system is full', async () => {
    await start({ maxBufferedBytes: 200_000 });
    const peer = await running.connect();
    const client = clientOf(peer);
    peer.ws.pause();
    const untilHeld = await sendWhile(client, () => status().waitingBytes === 0);
    expect(untilHeld).toBeGreaterThan(70); // the first question comes a little earlier than the others
    expect(untilHeld).toBeLessThan(105);
    const untilClosed = await sendWhile(client, () => status().closed === 0);
    expect(untilClosed).toBeGreaterThan(180);
    expect(untilClosed).toBeLessThan(210);
    peer.ws.resume();
    expect((await peer.closed).code).toBe(4113);
  });

  it('is asked of the members of a room one after the other, not of all in one turn', async () => {
    await start();
    const peers = await Promise.all(Array.from({ length: 50 }, () => running.connect()));
    for (const peer of peers) running.rooms.addClientToRoom({ clientId: peer.clientId, roomName: 'news' });
    const asked = new Map<number, number>();
    let n = 0;
    for (const { ws } of peers) ws.on('ping', () => asked.set(n, (asked.get(n) ?? 0) + 1));
    for (; n < 120; n++) {
      running.server.broadcastToRoom({ roomName: 'news', data: message(n) });
      await Promise.all(peers.map((peer) => until(() => numbers(peer).length > n)));
      await peers[0]?.settle();
    }
    expect(asked.size).toBeGreaterThan(20);
    expect(Math.max(...asked.values())).toBeLessThan(15);
    expect(status().closed).toBe(0);
  });

  it('goes on as soon as the client answers, in order', async () => {
    await start();
    const peer = await running.connect();
    const client = clientOf(peer);
    peer.ws.pause();
    const held = await sendWhile(client, () => status().waitingBytes < 200_000);
    expect(held).toBeLessThan(320);
    peer.ws.resume();
    await until(() => numbers(peer).length === held);
    expect(numbers(peer)).toEqual(upTo(held));
    await until(() => status().waitingBytes === 0);
    await peer.settle();
    expect(status()).toEqual({ dropped: 0, conflated: 0, closed: 0, waitingBytes: 0 });
  });

  it('goes on for a client that says something else, whose answer may lie behind a long message', async () => {
    await start({ maxBufferedBytes: 200_000 });
    const peer = await open(); // answers no ping
    const client = clientOf(peer);
    await sendWhile(client, () => status().waitingBytes === 0);
    peer.write(Buffer.from([0x81])); // the first byte of a message that takes its time
    await until(() => {
      client.send(message(-1));
      return status().waitingBytes === 0;
    });
    expect(status().closed).toBe(0);
  });

  it('goes on within a second after that, though nothing more is sent', async () => {
    await start();
    const peer = await open();
    const sent = await sendWhile(clientOf(peer), () => status().waitingBytes === 0);
    expect(numbers(peer).length).toBeLessThan(sent);
    peer.write(Buffer.from([0x81]));
    await peer.until(() => numbers(peer).length === sent);
    await until(() => status().waitingBytes === 0);
  });

  it('goes on when only a later ping is answered (RFC 6455 section 5.5.3), for a stream that waits for room, too', async () => {
    await start();
    const peer = await open();
    const client = clientOf(peer);
    peer.send({ type: 'gate', action: 'endless', id: 's' });
    await until(() => status().waitingBytes > 0);
    client.ws?.ping('later'); // takes along what waits
    await until(() => status().waitingBytes === 0);
    await turn();
    const { length } = peer.bytes;
    peer.write(frameBytes({ opcode: 10, payload: 'later' }));
    await peer.until(() => peer.bytes.length > length + 50_000);
  });

  it('is not held while this node itself has stopped reading: the answer lies among what it does not read', async () => {
    await start({}, { messages: { concurrency: 1, maxQueued: 2 } });
    const peer = await running.connect();
    const client = clientOf(peer);
    for (let n = 0; n < 6; n++) peer.send('gate', 'pass');
    await until(() => client.ws?.isPaused === true);
    const sent = await sendWhile(client, () => status().waitingBytes === 0, 500);
    expect(sent).toBe(500);
    await until(() => numbers(peer).length === 500);
    for (let n = 0; n < 6; n++) {
      running.app.get(Gate).letGo();
      await turn();
    }
  });

  it('closes a client that never answers, once what waits was not taken in time', async () => {
    await start({ drainTimeoutMs: 300 });
    const peer = await open();
    await sendWhile(clientOf(peer), () => status().waitingBytes === 0);
    await peer.until(() => peer.closeCode !== undefined);
    expect(peer.closeCode).toBe(4113);
    expect(status()).toMatchObject({ closed: 1, waitingBytes: 0 });
  });

  it('counts as waiting: volatile messages are left out, conflated ones replaced', async () => {
    await start({ volatileBytes: 20_000 });
    const peer = await running.connect();
    const client = clientOf(peer);
    peer.ws.pause();
    const held = await sendWhile(client, () => status().waitingBytes < 21_000);
    for (let n = 1_000; n < 1_010; n++) client.send(message(n), { volatile: true });
    for (let n = 2_000; n < 2_010; n++) client.send(message(n), { conflateKey: 'key' });
    await turn();
    expect(status()).toMatchObject({ dropped: 10, conflated: 9, closed: 0 });
    peer.ws.resume();
    await peer.take(({ data }) => data?.n === 2_009);
    expect(numbers(peer)).toEqual(upTo(held));
  });

  it('may be one large message: that closes nobody', async () => {
    await start({ maxBufferedBytes: 200_000 });
    const peer = await running.connect();
    const client = clientOf(peer);
    for (let n = 0; n < 5; n++) {
      client.send({ type: 'news', action: 'flash', data: { n: 2 * n, text: 'x'.repeat(90_000) } });
      await new Promise(setImmediate);
      client.send({ type: 'news', action: 'flash', data: { n: 2 * n + 1, text: 'x'.repeat(900_000) } });
      await until(() => status().waitingBytes === 0 && peer.received.length > 2 * n + 1);
    }
    await peer.settle();
    expect(numbers(peer)).toEqual(upTo(10));
    expect(status().closed).toBe(0);
  });

  it('asks a client that reads without its answers counting as its messages', async () => {
    await start({}, { limits: { messages: { perSecond: 5, burst: 5 } } });
    const peer = await running.connect();
    let asked = 0;
    peer.ws.on('ping', () => asked++);
    const client = clientOf(peer);
    for (let n = 0; n < 2_000; n++) {
      client.send(message(n));
      if (n % 20 === 0) await until(() => numbers(peer).length === n + 1);
    }
    await until(() => numbers(peer).length === 2_000);
    expect(asked).toBeGreaterThan(20);
    await peer.settle();
    expect(peer.ws.readyState).toBe(peer.ws.OPEN);
  });

  it('is left to the operating system with maxInFlightBytes: false', async () => {
    await start({ maxInFlightBytes: false });
    const peer = await open();
    const sent = await sendWhile(clientOf(peer), () => status().waitingBytes === 0, 1_500);
    await peer.until(() => numbers(peer).length === sent);
    expect(sent).toBe(1_500);
    expect(peer.frames.filter(({ opcode }) => opcode === 9)).toEqual([]);
  });
});
