// Socket.IO: joining and leaving namespaces.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Polling, SEPARATOR } from "../lib/http.mjs";
import { ours, startServer } from "../lib/server.mjs";
import { Ws } from "../lib/ws.mjs";

const server = await startServer();
const impatient = await startServer({ connectTimeout: 300, allowEio3: true });
const tidy = await startServer({ cleanupEmptyChildNamespaces: true });

describe("CONNECT", () => {
  test("is answered with the socket's id and nothing else", async () => {
    const ws = await Ws.open(server);
    ws.send("40");
    assert.match(await ws.next(), /^40\{"sid":"[A-Za-z0-9_-]{20}"\}$/);
    ws.send("40/custom,");
    assert.match(await ws.next(), /^42\["auth",\{\}\]$/);
    assert.match(await ws.next(), /^40\/custom,\{"sid":"[A-Za-z0-9_-]{20}"\}$/);
    assert.equal(await ws.next(), '42/custom,["auth",{}]');
    ws.abort();
  });

  test("may leave out the comma", async () => {
    const ws = await Ws.open(server);
    ws.send("40/custom");
    assert.match(await ws.next(), /^40\/custom,\{"sid":/);
    ws.abort();
  });

  test("carries credentials, over polling too", async () => {
    const auth = '{"token":"secret","n":1.5,"deep":[{"x":null}]}';
    const session = await Polling.open(server);
    await session.post(`40/token,${auth}`);
    await session.next();
    assert.equal(await session.next(), `42/token,["auth",${auth}]`);
  });

  test("to / is one of many and may be left out", async () => {
    const ws = await Ws.connect(server, { nsp: "/custom" });
    ws.send('42/custom,["message",1]');
    assert.equal(await ws.next(), '42/custom,["message-back",1]');
    ws.abort();
  });

  test("of an unknown namespace is refused, and the connection lives", async () => {
    const ws = await Ws.open(server);
    for (const nsp of ["/unknown", "/dynamic-x", "/dynamic-1x", "/Custom", "/custom/", "/__proto__", "/constructor"]) {
      ws.send(`40${nsp},`);
      assert.equal(await ws.next(), `44${nsp},{"message":"Invalid namespace"}`);
    }
    ws.send("40/custom?a=b,");
    assert.equal(await ws.next(), '44/custom?a=b,{"message":"Invalid namespace"}');
    ws.send("40");
    assert.match(await ws.next(), /^40\{"sid":/);
    ws.abort();
  });

  test("refused by a middleware carries message and data", async () => {
    const ws = await Ws.open(server);
    ws.send("40/deny,");
    assert.equal(await ws.next(), '44/deny,{"message":"nope","data":{"code":1,"why":["because"]}}');
    ws.send("40/token,{}");
    assert.equal(await ws.next(), '44/token,{"message":"not authorized","data":{"missing":"token"}}');
    // A second attempt with better credentials.
    ws.send('40/token,{"token":"secret"}');
    assert.match(await ws.next(), /^40\/token,\{"sid":/);
    ws.abort();
  });

  test("to a dynamic namespace makes it, once for concurrent first comers", async () => {
    const nsp = "/dynamic-4711";
    const all = await Promise.all(Array.from({ length: 20 }, () => Ws.connect(server, { nsp })));
    all[0].send(`42${nsp},["to-others","hello",1]`);
    for (const ws of all.slice(1)) assert.equal(await ws.next(), `42${nsp},["hello",1]`);
    all.forEach((ws) => ws.abort());
  });

  test("empty dynamic namespaces go away where asked", async () => {
    const before = (await tidy.stats()).namespaces;
    const sockets = await Promise.all(Array.from({ length: 10 }, (_, index) => Ws.connect(tidy, { nsp: `/dynamic-${index}` })));
    await tidy.settled({ namespaces: before + 10 });
    sockets.forEach((ws) => ws.abort());
    await tidy.settled({ namespaces: before, sockets: 0, rooms: 0 });
  });

  test("twice is an error that closes the connection", async () => {
    const ws = await Ws.connect(server);
    ws.send("40");
    await ws.closeCode();
    assert.equal(await server.reason(ws.id), "forced close");
  });

  test("and an event right behind it in one payload are both taken", ours("closes, because joining takes its time"), async () => {
    const session = await Polling.open(server);
    await session.post(`40${SEPARATOR}42["message",1]`);
    assert.match(await session.next(), /^40\{"sid":/);
    assert.equal(await session.next(), '42["auth",{}]');
    assert.equal(await session.next(), '42["message-back",1]');
    const ws = await Ws.open(server);
    ws.send("40/custom,");
    ws.send('42/custom,["message",1]');
    assert.match(await ws.next(), /^40\/custom,\{"sid":/);
    assert.equal(await ws.next(), '42/custom,["auth",{}]');
    assert.equal(await ws.next(), '42/custom,["message-back",1]');
    ws.abort();
  });
});

describe("DISCONNECT", () => {
  test("leaves one namespace, unanswered; the others and the connection stay", async () => {
    const ws = await Ws.connect(server);
    ws.send("40/custom,");
    const id = JSON.parse((await ws.next()).slice("40/custom,".length)).sid;
    await ws.next();
    ws.send("41/custom,");
    assert.equal(await server.reason(id, "/custom"), "client namespace disconnect");
    ws.send('42["message",1]');
    assert.equal(await ws.next(), '42["message-back",1]');
    // And back again.
    ws.send("40/custom,");
    const again = JSON.parse((await ws.next()).slice("40/custom,".length)).sid;
    assert.notEqual(again, id);
    ws.abort();
  });

  test("of the only namespace keeps the connection", async () => {
    const ws = await Ws.connect(server);
    ws.send("41");
    assert.equal(await server.reason(ws.id), "client namespace disconnect");
    ws.send("40");
    assert.match(await ws.next(), /^40\{/);
    ws.abort();
  });

  test("tells disconnecting with the rooms, then disconnect", async () => {
    const ws = await Ws.connect(server);
    ws.send('420["join","den"]');
    assert.equal(await ws.next(), "430[]");
    ws.abort();
    const disconnecting = await server.entry({ event: "disconnecting", id: ws.id });
    assert.deepEqual(disconnecting.rooms.sort(), [ws.id, "den"].sort());
    assert.equal(disconnecting.reason, "transport close");
    await server.reason(ws.id);
    const order = server.entries.filter((entry) => entry.id === ws.id).map((entry) => entry.event);
    assert.deepEqual(order, ["connection", "disconnecting", "disconnect"]);
  });

  test("by the server", async () => {
    const ws = await Ws.connect(server, { nsp: "/custom" });
    ws.send('42/custom,["disconnect-me",false]');
    assert.equal(await ws.next(), "41/custom,");
    assert.equal(await server.reason(ws.id, "/custom"), "server namespace disconnect");
    // The connection is still there.
    ws.send("40");
    assert.match(await ws.next(), /^40\{/);
    ws.abort();
  });

  test("by the server with close takes every namespace and the connection", async () => {
    const ws = await Ws.connect(server);
    ws.send("40/custom,");
    const id = JSON.parse((await ws.next()).slice("40/custom,".length)).sid;
    await ws.next();
    ws.send('42["disconnect-me",true]');
    assert.deepEqual([await ws.next(), await ws.next()].sort(), ["41", "41/custom,"]);
    await ws.closeCode();
    assert.equal(await server.reason(ws.id), "server namespace disconnect");
    assert.equal(await server.reason(id, "/custom"), "server namespace disconnect");
  });

  test("a lost connection leaves all namespaces", async () => {
    const ws = await Ws.connect(server);
    ws.send("40/custom,");
    const id = JSON.parse((await ws.next()).slice("40/custom,".length)).sid;
    ws.abort();
    assert.equal(await server.reason(ws.id), "transport close");
    assert.equal(await server.reason(id, "/custom"), "transport close");
  });
});

describe("connect_timeout", () => {
  test("closes a connection that joins nothing", async () => {
    const begun = performance.now();
    const ws = await Ws.open(impatient);
    assert.equal(await ws.closeCode(), 1005);
    assert.ok(performance.now() - begun >= 280);
    const session = await Polling.open(impatient);
    assert.match((await session.get()).text, /^(6\x1e)?1$/);
  });

  test("closes one whose every attempt was refused", async () => {
    const ws = await Ws.open(impatient);
    ws.send("40/deny,");
    await ws.next();
    assert.equal(await ws.closeCode(), 1005);
    await impatient.settled({ connections: 0, sockets: 0 });
  });

  test("does not concern who has joined, nor clients of revision 3", async () => {
    const ws = await Ws.connect(impatient);
    const old = new Ws(impatient, { query: { EIO: "3" } });
    const idle = await Ws.open(impatient);
    await idle.closeCode();
    ws.send('42["message",1]');
    assert.equal(await ws.next(), '42["message-back",1]');
    old.send('42["message",1]');
    while ((await old.next()) !== '42["message-back",1]');
    ws.abort();
    old.abort();
  });
});

test("the end of the server tells its sockets so, without a packet", async () => {
  const short = await startServer();
  const ws = await Ws.connect(short);
  const polling = await Polling.connect(short);
  const get = await polling.pendingGet();
  short.command("close");
  await ws.closeCode();
  assert.equal(ws.inbox.items.length, 0);
  assert.match((await get.response).text, /^(6\x1e)?1$/);
  assert.equal(await short.reason(ws.id), "server shutting down");
  assert.equal(await short.reason(polling.id), "server shutting down");
  await short.entry({ event: "closed" });
});
