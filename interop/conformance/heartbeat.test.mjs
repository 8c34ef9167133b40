// Engine.IO heartbeats of both revisions, and that an upgrade does not end them.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Polling, SEPARATOR } from "../lib/http.mjs";
import { ours, startServer } from "../lib/server.mjs";
import { Ws } from "../lib/ws.mjs";

const pingInterval = 300;
const pingTimeout = 200;
const server = await startServer({ pingInterval, pingTimeout, allowEio3: true });
// Timers may be late on a busy machine, but never early.
const atLeast = (elapsed, expected) => assert.ok(elapsed >= expected - 20, `${elapsed} ms instead of ${expected}`);
const clock = () => {
  const start = performance.now();
  return () => performance.now() - start;
};

async function pong(ws) {
  while ((await ws.nextPacket()) !== "2");
  ws.send("3");
}

/** A session that began with polling and was upgraded; heartbeats are the caller's business. */
async function upgraded(session) {
  const ws = new Ws(server, { query: { EIO: session.query.EIO, sid: session.sid } });
  await ws.opened;
  ws.send("2probe");
  for (let packet = await ws.nextPacket(); packet !== "3probe"; packet = await ws.nextPacket());
  ws.send("5");
  // An answer over WebSocket proves that the switch was made.
  ws.send('42["message","switched"]');
  for (let packet = await ws.next(); packet !== '42["message-back","switched"]'; packet = await ws.next());
  return ws;
}

describe("revision 4, the server pings", () => {
  test("over WebSocket, after the interval, and again after each pong", async () => {
    const elapsed = clock();
    const ws = await Ws.open(server);
    for (let round = 1; round <= 3; round += 1) {
      assert.equal(await ws.nextPacket(), "2");
      atLeast(elapsed(), round * pingInterval);
      ws.send("3");
    }
    ws.abort();
  });

  test("over polling", async () => {
    const elapsed = clock();
    const session = await Polling.open(server);
    for (let round = 1; round <= 3; round += 1) {
      assert.equal((await session.get()).text, "2");
      atLeast(elapsed(), round * pingInterval);
      await session.post("3");
    }
  });

  test("and closes a silent client after the timeout", async () => {
    const elapsed = clock();
    const ws = await Ws.connect(server);
    assert.equal(await ws.closeCode(), 1005);
    atLeast(elapsed(), pingInterval + pingTimeout);
    assert.equal(await server.reason(ws.id), "ping timeout");
  });

  test("and closes a silent polling client after the timeout", async () => {
    const session = await Polling.connect(server);
    assert.equal((await session.get()).text, "2");
    assert.match((await session.get()).text, /^(6\x1e)?1$/);
    assert.equal(await server.reason(session.id), "ping timeout");
  });

  test("messages are no sign of life, only pongs are", async () => {
    const ws = await Ws.connect(server);
    const chatter = setInterval(() => ws.send('42["message",1]'), 50);
    await ws.closeCode();
    clearInterval(chatter);
    assert.equal(await server.reason(ws.id), "ping timeout");
  });

  test("a pong unasked for does no harm and starts nothing", async () => {
    const elapsed = clock();
    const ws = await Ws.connect(server);
    for (let index = 0; index < 100; index += 1) ws.send("3");
    ws.send('42["message",1]');
    assert.equal(await ws.next(), '42["message-back",1]');
    assert.equal(await ws.nextPacket(), "2");
    ws.send("3");
    assert.equal(await ws.nextPacket(), "2");
    atLeast(elapsed(), 2 * pingInterval - 30);
    ws.abort();
  });

  test("the client must not", async () => {
    const ws = await Ws.connect(server);
    ws.send("2");
    assert.equal(await ws.closeCode(), 1005);
    assert.equal(await server.reason(ws.id), "transport error");
    const session = await Polling.connect(server);
    assert.equal((await session.post("2")).text, "ok");
    assert.equal(await server.reason(session.id), "transport error");
  });

  test("goes on after an upgrade", async () => {
    const session = await Polling.connect(server);
    const ws = await upgraded(session);
    await pong(ws);
    await pong(ws);
    assert.equal(await ws.closeCode(), 1005);
    assert.equal(await server.reason(session.id), "ping timeout");
  });

  test("an upgrade between ping and pong does not stop it", ours("never times out again"), async () => {
    const session = await Polling.connect(server);
    assert.equal((await session.get()).text, "2");
    await upgraded(session);
    assert.equal(await server.reason(session.id), "ping timeout");
  });
});

describe("revision 3, the client pings", () => {
  const query = { EIO: "3" };
  const open = async () => {
    const ws = new Ws(server, { query });
    ws.id = JSON.parse((await ws.nextPacket()).slice(1)).sid;
    assert.equal(await ws.nextPacket(), "40");
    assert.equal(await ws.nextPacket(), '42["auth",{}]');
    return ws;
  };

  test("and the server answers, with the same data", async () => {
    const ws = await open();
    ws.send("2");
    assert.equal(await ws.nextPacket(), "3");
    const session = await Polling.open(server, query);
    assert.equal(await session.nextPacket(), "40");
    await session.nextPacket();
    await session.post("1:2");
    assert.equal(await session.nextPacket(), "3");
    ws.abort();
  });

  test("every ping is a new lease", async () => {
    const elapsed = clock();
    const ws = await open();
    while (elapsed() < 2 * (pingInterval + pingTimeout)) {
      ws.send("2");
      assert.equal(await ws.nextPacket(), "3");
    }
    const silent = clock();
    await ws.closeCode();
    atLeast(silent(), pingInterval + pingTimeout - 20);
    assert.equal(await server.reason(ws.id), "ping timeout");
  });

  test("a client that never does is closed", async () => {
    const ws = await open();
    assert.equal(await ws.closeCode(), 1005);
    assert.equal(await server.reason(ws.id), "ping timeout");
    const session = await Polling.open(server, query);
    assert.equal(await server.reason(session.sid), "ping timeout");
  });

  test("the wrong direction is an error", async () => {
    const ws = await open();
    ws.send("3");
    await ws.closeCode();
    assert.equal(await server.reason(ws.id), "transport error");
  });

  test("an upgrade does not stop it", ours("forgets the timeout until the next ping"), async () => {
    const session = await Polling.open(server, query);
    assert.equal(await session.nextPacket(), "40");
    await session.nextPacket();
    await upgraded(session);
    assert.equal(await server.reason(session.sid), "ping timeout");
  });
});

test("a heartbeat shares its poll with what else is queued", async () => {
  const session = await Polling.connect(server);
  await session.post('42["message",1]');
  const seen = [];
  while (!seen.includes("2")) seen.push(...(await session.get()).text.split(SEPARATOR));
  assert.deepEqual(seen.filter((packet) => packet !== "2"), ['42["message-back",1]']);
});
