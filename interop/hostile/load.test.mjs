// Clients that read slowly or not at all, and clients that come and go.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Bystanders, ROOM } from "../lib/bystanders.mjs";
import { ask, event } from "../lib/clients.mjs";
import { Polling, request } from "../lib/http.mjs";
import { isReference, ours, startServer } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { RawWs, Tcp, Ws, frame, upgradeRequest, wsPath } from "../lib/ws.mjs";

const MiB = 1024 * 1024;
const outbox = 2 * MiB;
const bounded = await startServer({ maxOutboxBytes: outbox });
const server = await startServer({ allowEio3: true });

describe("a client that does not read", () => {
  test("over WebSocket is closed at the bound of its outbox, and leaves its rooms at once", ours("queues without bound"), async (t) => {
    const crowd = await Bystanders.join(t, bounded);
    const slow = await RawWs.connect(bounded);
    slow.write(frame({ payload: `421["join","${ROOM}"]` }));
    await slow.nextFrame();
    await bounded.settled({ connections: 4, sockets: 4, rooms: 5 });
    slow.socket.pause();
    const before = await bounded.rss();
    const filler = "x".repeat(100_000);
    let sent = 0;
    // Beyond what the kernel buffers, and then some.
    while (!bounded.entries.some((entry) => entry.event === "disconnect" && entry.id === slow.id)) {
      crowd.speaker.emit("in-room", ROOM, "filler", sent, filler);
      sent += 1;
      assert.ok(sent < 2000, "200 MB are enough to be called slow");
      if (sent % 10 === 0) await ask(crowd.speaker, "message-with-ack");
    }
    await bounded.settled(crowd.counts);
    assert.deepEqual((await ask(crowd.speaker, "fetch", ROOM))[0].length, 3);
    assert.ok((await bounded.rss()) - before < 8 * outbox + 32 * MiB);
    slow.abort();
    await crowd.unharmed();
  });

  test("over polling is closed at the bound likewise", ours("queues without bound"), async (t) => {
    const crowd = await Bystanders.join(t, bounded);
    const slow = await Polling.connect(bounded);
    await slow.post(`42["fill",100,100000]`);
    await bounded.reason(slow.id);
    await bounded.settled(crowd.counts);
    await crowd.unharmed();
  });

  test("loses volatile events only", async (t) => {
    const crowd = await Bystanders.join(t, bounded);
    const slow = await RawWs.connect(bounded);
    slow.socket.pause();
    slow.write(frame({ payload: '42["volatile-flood",300,100000]' }));
    slow.write(frame({ payload: '42["to-others","done"]' }));
    await event(crowd.speaker, "done");
    slow.socket.resume();
    const seen = [];
    for (;;) {
      const { payload, opcode } = await slow.nextFrame();
      assert.equal(opcode, 1);
      const text = payload.subarray(0, 40).toString();
      if (text.startsWith('42["flood-end"')) break;
      seen.push(Number(/^42\["flood",(\d+),/.exec(text)[1]));
    }
    assert.ok(seen.length < 300 || isReference, "something was dropped");
    assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
    slow.abort();
    await crowd.unharmed();
    await bounded.settled(crowd.counts);
  });

  test("is closed by the heartbeat even when nothing is sent to it", async (t) => {
    const beating = await startServer({ pingInterval: 300, pingTimeout: 300 });
    const crowd = await Bystanders.join(t, beating);
    const slow = await RawWs.connect(beating);
    slow.socket.pause();
    assert.equal(await beating.reason(slow.id), "ping timeout");
    await beating.settled(crowd.counts);
    await crowd.unharmed();
    slow.abort();
  });

  test("can be thrown out", async (t) => {
    const crowd = await Bystanders.join(t, bounded);
    const slow = await RawWs.connect(bounded);
    slow.socket.pause();
    slow.write(frame({ payload: '42["volatile-flood",100,100000]' }));
    slow.write(frame({ payload: '42["disconnect-me",true]' }));
    assert.equal(await bounded.reason(slow.id), "server namespace disconnect");
    slow.abort();
    await bounded.settled(crowd.counts);
    await crowd.unharmed();
  });
});

describe("coming and going", () => {
  const ways = {
    "a handshake that is never used": async () => {
      const session = await Polling.open(server);
      await session.post("1");
    },
    "a GET that is dropped": async () => {
      const session = await Polling.connect(server);
      const get = await session.pendingGet();
      get.abort();
      // Where the end of the connection overtakes the request, the server never learns of the GET, and so not of its end.
      await session.post("1").catch(() => {});
    },
    "a POST that is dropped": async () => {
      const session = await Polling.connect(server);
      const tcp = new Tcp(server);
      await new Promise((resolve) => tcp.socket.write(`POST ${session.path()} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n42`, resolve));
      await request(server, { path: "/socket.io/?EIO=4&transport=polling&sid=none" });
      tcp.abort();
      await session.post("1").catch(() => {});
    },
    "a WebSocket cut before its first packet": async () => {
      const raw = await RawWs.open(server);
      raw.abort();
    },
    "a WebSocket cut before the answer": async () => {
      const tcp = new Tcp(server);
      await new Promise((resolve) => tcp.socket.write(upgradeRequest(server), resolve));
      tcp.abort();
    },
    "a WebSocket that joins rooms and is cut": async () => {
      const raw = await RawWs.connect(server);
      for (let index = 0; index < 5; index += 1) raw.write(frame({ payload: `42["join","room ${Math.random()}"]` }));
      raw.write(frame({ payload: '421["state"]' }));
      await raw.nextFrame();
      raw.abort();
    },
    "a WebSocket that is refused": async () => {
      const ws = await Ws.open(server);
      ws.send("40/deny,");
      await ws.next();
      ws.abort();
    },
    "an upgrade that is begun and abandoned": async () => {
      const session = await Polling.connect(server);
      const ws = new Ws(server, { query: { sid: session.sid } });
      await ws.opened;
      ws.send("2probe");
      await ws.next();
      ws.abort();
      await session.post("1");
    },
    "an upgrade that is finished and cut": async () => {
      const session = await Polling.connect(server);
      const ws = new Ws(server, { query: { sid: session.sid } });
      await ws.opened;
      ws.send("2probe");
      await ws.next();
      ws.send("5");
      ws.send('42["message",1]');
      await ws.next();
      ws.abort();
    },
    "an upgrade of a session that is gone": async () => {
      const session = await Polling.connect(server);
      const path = wsPath({ sid: session.sid });
      await session.post("1");
      const tcp = new Tcp(server);
      tcp.write(upgradeRequest(server, { path }));
      assert.match(await tcp.head(), / 400 /);
      tcp.abort();
    },
    "a client of revision 3 that is cut": async () => {
      const ws = new Ws(server, { query: { EIO: "3" } });
      await ws.next();
      ws.abort();
    },
    "acknowledgements owed for ever": async () => {
      const ws = await Ws.connect(server);
      ws.send('421["ask",60000,"q"]');
      await ws.next();
      ws.abort();
    },
  };

  for (const [name, visit] of Object.entries(ways)) {
    test(`${name} leaves nothing`, async (t) => {
      const crowd = await Bystanders.join(t, server);
      const crowdOf = 8;
      const rounds = async (count) => {
        for (let round = 0; round < count; round += 1) await Promise.all(Array.from({ length: crowdOf }, visit));
      };
      await rounds(5);
      await server.settled(crowd.counts);
      const before = await server.rss();
      await rounds(30);
      await server.settled(crowd.counts);
      const grown = (await server.rss()) - before;
      assert.ok(isReference || grown < 12 * MiB, `${(grown / MiB).toFixed(1)} MiB more`);
      await crowd.unharmed();
    });
  }

  test("a storm of thousands is over when it is over", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const storm = async (count) => {
      const sockets = Array.from({ length: count }, () => new Tcp(server));
      for (const [index, tcp] of sockets.entries()) {
        tcp.write(index % 2 ? upgradeRequest(server) : `GET /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n`);
      }
      // Revision 3 polling handshakes are abandoned whole: their sessions end by the heartbeat, the others at once.
      await Promise.all(sockets.map((tcp) => tcp.head()));
      sockets.forEach((tcp) => tcp.abort());
    };
    await storm(1000);
    await until(async () => (await server.stats()).connections <= 3 + 500, () => "the WebSockets to be gone");
    await crowd.unharmed();
  });
});
