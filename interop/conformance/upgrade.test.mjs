// Engine.IO: from polling to WebSocket.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Polling, SEPARATOR, json } from "../lib/http.mjs";
import { ours, startServer } from "../lib/server.mjs";
import { Tcp, Ws, upgradeRequest, wsPath } from "../lib/ws.mjs";

const upgradeTimeout = 400;
const server = await startServer({ allowEio3: true });
const impatient = await startServer({ upgradeTimeout });

const candidate = async (session, query = {}) => {
  const ws = new Ws(session.server, { query: { EIO: session.query.EIO, sid: session.sid, ...query } });
  await ws.opened;
  return ws;
};
const probed = async (session) => {
  const ws = await candidate(session);
  ws.send("2probe");
  assert.equal(await ws.nextPacket(), "3probe");
  return ws;
};
const echo = async (ws, text) => {
  ws.send(`42["message","${text}"]`);
  assert.equal(await ws.next(), `42["message-back","${text}"]`);
};

for (const EIO of ["4", "3"]) {
  const wrap = (packet) => (EIO === "4" ? packet : `${packet.length}:${packet}`);
  const connect = async () => {
    if (EIO === "4") return Polling.connect(server);
    const session = await Polling.open(server, { EIO });
    session.id = session.sid;
    assert.deepEqual([await session.next(), await session.next()], ["40", '42["auth",{}]']);
    return session;
  };

  describe(`revision ${EIO}`, () => {
    test("probe, noop for the waiting GET, switch", async () => {
      const session = await connect();
      const get = await session.pendingGet();
      const start = performance.now();
      const ws = await probed(session);
      assert.equal((await get.response).text, wrap("6"));
      // Not at once: a client counts the packets around its probe.
      assert.ok(performance.now() - start >= 80, "the noop comes a tick of 100 ms after the probe");
      ws.send("5");
      await echo(ws, "over WebSocket");
      const late = await session.get();
      assert.deepEqual([late.status, json(late)], [400, { code: 3, message: "Bad request" }]);
      await echo(ws, "unharmed");
      ws.abort();
      assert.equal(await server.reason(session.id), "transport close");
    });

    test("a GET that comes after the probe gets its noop as well", async () => {
      const session = await connect();
      const ws = await probed(session);
      assert.equal((await session.get()).text, wrap("6"));
      assert.equal((await session.get()).text, wrap("6"));
      ws.abort();
    });

    test("until the switch messages go over polling", async () => {
      const session = await connect();
      const ws = await probed(session);
      await session.post(wrap('42["message","still polling"]'));
      assert.equal(await session.next(), '42["message-back","still polling"]');
      ws.send("5");
      await echo(ws, "now here");
      ws.abort();
    });

    test("what is queued at the switch follows on the WebSocket, in order", async () => {
      const session = await connect();
      const ws = await probed(session);
      await session.post(wrap('42["burst",500]'));
      ws.send("5");
      for (let index = 0; index < 500; index += 1) assert.equal(await ws.next(), `42["item",${index}]`);
      await echo(ws, "and on");
      ws.abort();
    });

    test("a switch without a probe is taken", async () => {
      const session = await connect();
      const ws = await candidate(session);
      ws.send("5");
      await echo(ws, "bold");
      ws.abort();
    });

    test("binary crosses the switch", async () => {
      const session = await connect();
      const ws = await probed(session);
      await session.post(wrap('451-["message",{"_placeholder":true,"num":0}]') + (EIO === "4" ? SEPARATOR : "") + wrap(EIO === "4" ? "bAQI=" : "b4AQI="));
      ws.send("5");
      assert.equal(await ws.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
      assert.deepEqual(await ws.next(), Buffer.from(EIO === "4" ? [1, 2] : [4, 1, 2]));
      ws.abort();
    });
  });
}

describe("refused", () => {
  test("a first packet that is neither probe nor switch closes the candidate alone", async () => {
    for (const packet of ["2", "2other", "3probe", '42["message",1]', "6", "x", Buffer.from([1])]) {
      const session = await Polling.connect(server);
      const ws = await candidate(session);
      ws.send(packet);
      await ws.closeCode();
      await session.post('42["message","alive"]');
      assert.equal(await session.next(), '42["message-back","alive"]', String(packet));
    }
  });

  test("a second candidate beside the first", async () => {
    const session = await Polling.connect(server);
    const first = await probed(session);
    const second = await candidate(session).catch(() => undefined);
    await second?.closeCode();
    first.send("5");
    await echo(first, "mine");
    first.abort();
  });

  test("a candidate after the upgrade", async () => {
    const session = await Polling.connect(server);
    const first = await probed(session);
    first.send("5");
    await echo(first, "mine");
    const second = await candidate(session).catch(() => undefined);
    await second?.closeCode();
    await echo(first, "still mine");
    first.abort();
  });

  test("a candidate for a session opened on WebSocket", ours("lets it take the session over"), async () => {
    const owner = await Ws.connect(server);
    const thief = new Ws(server, { query: { sid: owner.sid } });
    await thief.opened.catch(() => {});
    if (thief.socket.readyState === 1) thief.send("2probe");
    await thief.closeCode();
    await echo(owner, "mine");
    owner.abort();
  });

  test("a candidate for a closed session", async () => {
    const session = await Polling.connect(server);
    await session.post("1");
    await server.reason(session.id);
    const tcp = new Tcp(server);
    tcp.write(upgradeRequest(server, { path: wsPath({ sid: session.sid }) }));
    assert.match(await tcp.head(), /^HTTP\/1\.1 400 /);
    assert.equal((await tcp.readToEnd()).toString(), "Session ID unknown");
  });
});

describe("abandoned", () => {
  test("a candidate that goes leaves the session on polling", async () => {
    const session = await Polling.connect(server);
    // Again and again; each attempt may come before the server has seen that the last candidate is gone.
    const attempt = async () => {
      for (;;) {
        const ws = await candidate(session).catch(() => undefined);
        ws?.send("2probe");
        if (ws && (await Promise.race([ws.nextPacket().then((packet) => packet === "3probe"), ws.closed.then(() => false)]))) return ws;
      }
    };
    for (let round = 0; round < 3; round += 1) {
      (await attempt()).abort();
      await session.post(`42["message",${round}]`);
      assert.equal(await session.next(), `42["message-back",${round}]`);
    }
    const ws = await attempt();
    ws.send("5");
    await echo(ws, "at last");
    ws.abort();
  });

  for (const [name, start] of [["without a probe", candidate], ["behind its probe", probed]]) {
    test(`a candidate that says nothing ${name} is closed after the timeout`, async () => {
      const session = await Polling.connect(impatient);
      const begun = performance.now();
      const ws = await start(session);
      await ws.closeCode();
      assert.ok(performance.now() - begun >= upgradeTimeout - 20);
      await session.post('42["message","alive"]');
      assert.equal(await session.next(), '42["message-back","alive"]');
      // Polling goes on, without noops.
      const get = await session.pendingGet();
      await session.post('42["message","quiet"]');
      assert.equal((await get.response).text, '42["message-back","quiet"]');
    });
  }

  test("a session that closes takes its candidate along", async () => {
    const session = await Polling.connect(server);
    const ws = await probed(session);
    await session.post('42["drop-transport"]');
    while (json(await session.get().then((r) => (r.status === 200 ? { text: '{"code":0}' } : r))).code !== 1);
    await ws.closeCode();
    assert.equal(await server.reason(session.id), "forced close");
  });
});

test("upgrades that are not allowed are not announced", async () => {
  const without = await startServer({ noAllowUpgrades: true });
  const session = await Polling.connect(without);
  assert.deepEqual(session.handshake.upgrades, []);
});

test("request with the sid of an upgraded session is a bad request for POST as well", async () => {
  const session = await Polling.connect(server);
  const ws = await probed(session);
  ws.send("5");
  await echo(ws, "up");
  const post = await session.post('42["message",1]');
  assert.deepEqual([post.status, json(post)], [400, { code: 3, message: "Bad request" }]);
  ws.abort();
});
