// Engine.IO: routing, verification order, error bodies, the open packet.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Polling, json, request } from "../lib/http.mjs";
import { ours, startServer } from "../lib/server.mjs";
import { Tcp, Ws, upgradeRequest, wsPath } from "../lib/ws.mjs";

const server = await startServer({ pingInterval: 1500, pingTimeout: 900, maxHttpBufferSize: 5000 });
const both = await startServer({ allowEio3: true, pingInterval: 1500, pingTimeout: 900, maxHttpBufferSize: 5000 });
const at = (query, more = {}) => ({ path: `/socket.io/?${query}`, ...more });
const openPattern = (upgrades, sid = "([A-Za-z0-9_-]{20,})") =>
  new RegExp(`^0\\{"sid":"${sid}","upgrades":${upgrades},"pingInterval":1500,"pingTimeout":900,"maxPayload":5000\\}$`);

async function refusedUpgrade(target, options) {
  const tcp = new Tcp(target);
  tcp.write(upgradeRequest(target, options));
  const head = await tcp.head();
  const body = (await tcp.readToEnd()).toString();
  return { head, body, status: Number(head.split(" ")[1]) };
}

describe("open packet", () => {
  test("of polling: fields in Node's order, and the headers of a poll", async () => {
    const response = await request(server, at("EIO=4&transport=polling"));
    assert.equal(response.status, 200);
    assert.match(response.text, openPattern('\\["websocket"\\]'));
    assert.equal(response.headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal(response.headers["content-length"], String(response.bytes.length));
    assert.equal(response.headers["cache-control"], "no-store");
    assert.equal(response.headers["set-cookie"], undefined);
    assert.equal(response.headers["access-control-allow-origin"], undefined);
    assert.equal(response.headers.vary, undefined);
  });

  test("of WebSocket: no further upgrades, text frame", async () => {
    const ws = new Ws(server);
    assert.match(await ws.next(), openPattern("\\[\\]"));
    ws.abort();
  });

  test("of revision 3: the same JSON, length in front when polled", async () => {
    const response = await request(both, at("EIO=3&transport=polling"));
    const [, length, packet] = /^(\d+):(.*)$/.exec(response.text);
    assert.equal(Number(length), packet.length);
    assert.match(packet, openPattern('\\["websocket"\\]'));
    const ws = new Ws(both, { query: { EIO: "3" } });
    assert.match(await ws.next(), openPattern("\\[\\]"));
    ws.abort();
  });

  test("is all that the handshake response holds", async () => {
    const session = await Polling.open(both, { EIO: "3" });
    assert.deepEqual(session.decode(session.response).length, 1);
    assert.equal(await session.next(), "40");
  });

  test("has no upgrades where they are switched off or the transport is", async () => {
    const without = await startServer({ noAllowUpgrades: true });
    assert.deepEqual((await Polling.open(without)).handshake.upgrades, []);
    const pollingOnly = await startServer({ transports: "polling" });
    assert.deepEqual((await Polling.open(pollingOnly)).handshake.upgrades, []);
  });

  test("has the defaults of Node", async () => {
    const { handshake } = await Polling.open(await startServer());
    const { sid, ...rest } = handshake;
    assert.deepEqual(rest, { upgrades: ["websocket"], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000 });
  });

  test("never repeats a session id, nor shows it as a socket id", async () => {
    const sessions = await Promise.all(Array.from({ length: 50 }, () => Polling.connect(server)));
    const ids = sessions.flatMap((session) => [session.sid, session.id]);
    assert.equal(new Set(ids).size, 100);
    assert.ok(sessions.every(({ id }) => id.length === 20));
  });
});

describe("routing", () => {
  test("takes everything that begins with the path", async () => {
    assert.equal((await request(server, { path: "/socket.io/whatever?EIO=4&transport=polling" })).status, 200);
  });

  test("leaves to the application what does not", async () => {
    for (const path of ["/socket.io?EIO=4&transport=polling", "/other/?EIO=4&transport=polling", "/"]) {
      assert.equal((await request(server, { path })).status, 404, path);
    }
  });

  test("path and trailing slash are options", async () => {
    const custom = await startServer({ path: "/chat/io/" });
    assert.equal((await request(custom, { path: "/chat/io/?EIO=4&transport=polling" })).status, 200);
    assert.equal((await request(custom, at("EIO=4&transport=polling"))).status, 404);
    const bare = await startServer({ noAddTrailingSlash: true });
    assert.equal((await request(bare, { path: "/socket.io?EIO=4&transport=polling" })).status, 200);
  });

  test("the last of repeated query keys wins", async () => {
    assert.equal((await request(server, at("EIO=3&EIO=4&transport=websocket&transport=polling"))).status, 200);
    assert.deepEqual(json(await request(server, at("EIO=4&EIO=3&transport=polling"))), { code: 5, message: "Unsupported protocol version" });
  });

  test("keys and values are percent-decoded", async () => {
    assert.equal((await request(server, at("E%49O=4&transport=poll%69ng&t=%zz&=&&x"))).status, 200);
  });
});

describe("errors", () => {
  const refusals = [
    ["no query at all", { path: "/socket.io/" }, 0, "Transport unknown"],
    ["no transport", at("EIO=4"), 0, "Transport unknown"],
    ["unknown transport", at("EIO=4&transport=abc"), 0, "Transport unknown"],
    ["a property of Object as transport", at("EIO=4&transport=constructor"), 0, "Transport unknown"],
    ["another property of Object", at("EIO=4&transport=__proto__"), 0, "Transport unknown"],
    ["transport in capitals", at("EIO=4&transport=Polling"), 0, "Transport unknown"],
    ["a transport that is no option here", at("EIO=4&transport=webtransport"), 0, "Transport unknown"],
    ["unknown sid, GET", at("EIO=4&transport=polling&sid=abc"), 1, "Session ID unknown"],
    ["unknown sid, POST", at("EIO=4&transport=polling&sid=abc", { method: "POST", body: "40" }), 1, "Session ID unknown"],
    ["unknown sid in the way of Object", at("EIO=4&transport=polling&sid=__proto__"), 1, "Session ID unknown"],
    ["POST without sid", at("EIO=4&transport=polling", { method: "POST", body: "40" }), 2, "Bad handshake method"],
    ["PUT without sid", at("EIO=4&transport=polling", { method: "PUT" }), 2, "Bad handshake method"],
    ["DELETE without sid", at("EIO=4&transport=polling", { method: "DELETE" }), 2, "Bad handshake method"],
    ["OPTIONS without CORS", at("EIO=4&transport=polling", { method: "OPTIONS" }), 2, "Bad handshake method"],
    ["websocket without an upgrade", at("EIO=4&transport=websocket"), 3, "Bad request"],
    ["revision 3 without its option", at("EIO=3&transport=polling"), 5, "Unsupported protocol version"],
    ["no revision, which means 3", at("transport=polling"), 5, "Unsupported protocol version"],
    ["a revision to come", at("EIO=5&transport=polling"), 5, "Unsupported protocol version"],
    ["a revision that is none", at("EIO=four&transport=polling"), 5, "Unsupported protocol version"],
  ];
  for (const [name, options, code, message] of refusals) {
    test(`${name}: ${code}`, async () => {
      const response = await request(server, options);
      assert.equal(response.status, 400);
      assert.equal(response.headers["content-type"], "application/json");
      assert.equal(response.headers["cache-control"], undefined);
      assert.equal(response.text, JSON.stringify({ code, message }));
    });
  }

  test("HEAD is no handshake method", async () => {
    assert.equal((await request(server, at("EIO=4&transport=polling", { method: "HEAD" }))).status, 400);
  });

  test("the transport must be the session's own", async () => {
    const ws = await Ws.open(server);
    const onPolling = await request(server, at(`EIO=4&transport=polling&sid=${ws.sid}`));
    assert.deepEqual([onPolling.status, json(onPolling)], [400, { code: 3, message: "Bad request" }]);
    const session = await Polling.open(server);
    const onWebSocket = await request(server, at(`EIO=4&transport=websocket&sid=${session.sid}`));
    assert.deepEqual([onWebSocket.status, json(onWebSocket)], [400, { code: 3, message: "Bad request" }]);
    // Neither took harm.
    ws.send("40");
    assert.match(await ws.next(), /^40\{/);
    assert.equal((await session.post("40")).text, "ok");
    ws.abort();
  });

  test("a disabled transport is unknown", async () => {
    const pollingOnly = await startServer({ transports: "polling" });
    assert.match((await refusedUpgrade(pollingOnly, { headers: { Connection: "Upgrade, close" } })).body, /Transport unknown/);
    const webSocketOnly = await startServer({ transports: "websocket" });
    assert.deepEqual(json(await request(webSocketOnly, at("EIO=4&transport=polling"))), { code: 0, message: "Transport unknown" });
    const ws = await Ws.open(webSocketOnly);
    ws.abort();
  });

  test("the transport is checked before the session, the session before the method", async () => {
    assert.equal(json(await request(server, at("transport=abc&sid=abc", { method: "PUT" }))).code, 0);
    assert.equal(json(await request(server, at("transport=polling&sid=abc", { method: "PUT" }))).code, 1);
    assert.equal(json(await request(server, at("transport=polling", { method: "PUT" }))).code, 2);
  });

  test("an Origin with control characters is a bad request", async () => {
    const tcp = new Tcp(server);
    tcp.write(`GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: ${server.host}\r\nOrigin: a\x01b\r\nConnection: close\r\n\r\n`);
    assert.match(await tcp.head(), /^HTTP\/1\.1 400 /);
    tcp.abort();
  });
});

describe("refused upgrades", () => {
  test("answer in plain text, and end the connection", async () => {
    const { head, body } = await refusedUpgrade(server, { path: wsPath({ sid: "abc" }) });
    const [status, ...lines] = head.split("\r\n");
    const headers = Object.fromEntries(lines.map((line) => line.toLowerCase().split(": ")));
    assert.match(status, /^HTTP\/1\.1 400 /);
    assert.equal(headers.connection, "close");
    assert.equal(headers["content-type"], "text/html");
    assert.equal(headers["content-length"], "18");
    assert.equal(body, "Session ID unknown");
  });

  const refusals = [
    ["unknown transport", { transport: "abc" }, "Transport unknown"],
    ["unknown sid", { sid: "abc" }, "Session ID unknown"],
  ];
  for (const [name, query, message] of refusals) {
    test(name, async () => {
      const { status, body } = await refusedUpgrade(server, { path: wsPath(query) });
      assert.deepEqual([status, body], [400, message]);
    });
  }

  test("revision 3 without its option", ours("finds out after the 101"), async () => {
    for (const query of [{ EIO: "3" }, { EIO: "x" }]) {
      const { status, body } = await refusedUpgrade(server, { path: wsPath(query) });
      assert.deepEqual([status, body], [400, "Unsupported protocol version"]);
    }
  });

  test("transport=polling in an upgrade", ours("answers 101 and an empty close frame"), async () => {
    const { status, body } = await refusedUpgrade(server, { path: wsPath({ transport: "polling" }) });
    assert.deepEqual([status, body], [400, "Bad request"]);
  });

  test("a wrong key, version or method of WebSocket", async () => {
    for (const headers of [{ "Sec-WebSocket-Key": "short" }, { "Sec-WebSocket-Key": undefined }]) {
      assert.equal((await refusedUpgrade(server, { headers })).status, 400);
    }
    const version = await refusedUpgrade(server, { headers: { "Sec-WebSocket-Version": "7" } });
    assert.ok([400, 426].includes(version.status));
    assert.match(version.head, /sec-websocket-version: 13/i);
    const method = await refusedUpgrade(server, { method: "POST", headers: { "Content-Length": "0" } });
    assert.ok([400, 405].includes(method.status));
  });

  test("leave no session behind", async () => {
    const fresh = await startServer();
    for (const headers of [{ "Sec-WebSocket-Key": "short" }, { "Sec-WebSocket-Version": "7" }]) await refusedUpgrade(fresh, { headers });
    await refusedUpgrade(fresh, { path: wsPath({ sid: "abc" }) });
    await fresh.settled({ connections: 0, sockets: 0 });
  });
});

describe("allow_request", async () => {
  const choosy = await startServer({ allowRequest: true });

  test("refuses with its own words or the standard ones", async () => {
    const plain = await request(choosy, at("EIO=4&transport=polling&refuse=plain"));
    assert.deepEqual([plain.status, plain.text], [403, '{"code":4,"message":"Forbidden"}']);
    const words = await request(choosy, at("EIO=4&transport=polling&refuse=not%20today"));
    assert.deepEqual([words.status, words.text], [403, '{"code":4,"message":"not today"}']);
  });

  test("refuses an upgrade with 400 and the text", async () => {
    const { status, body } = await refusedUpgrade(choosy, { path: wsPath({ refuse: "not today" }) });
    assert.deepEqual([status, body], [400, "not today"]);
  });

  test("is asked at the handshake only", async () => {
    const session = await Polling.open(choosy);
    session.query.refuse = "plain";
    assert.equal((await session.post("40")).text, "ok");
    const ws = new Ws(choosy, { query: { sid: session.sid, refuse: "plain" } });
    await ws.opened;
    ws.send("2probe");
    assert.equal(await ws.next(), "3probe");
    ws.abort();
  });
});

describe("connection_error", () => {
  test("tells the application of each refusal", async () => {
    await request(server, at("EIO=4&transport=xyz"));
    await server.entry({ event: "connection_error", code: 0, message: "Transport unknown" });
    await request(server, at("EIO=4&transport=polling&sid=xyz"));
    await server.entry({ event: "connection_error", code: 1, message: "Session ID unknown" });
    await request(server, at("EIO=3&transport=polling"));
    await server.entry({ event: "connection_error", code: 5, message: "Unsupported protocol version" });
  });
});
