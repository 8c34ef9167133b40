// CORS as the `cors` package does it, the session cookie, the origin check.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Polling, request } from "../lib/http.mjs";
import { ours, startServer } from "../lib/server.mjs";
import { RawWs, Tcp, upgradeRequest } from "../lib/ws.mjs";

const path = "/socket.io/?EIO=4&transport=polling";
const good = "https://good.example";
const evil = "https://evil.example";
const allow = "access-control-allow-origin";

describe("without CORS", async () => {
  const server = await startServer();
  test("there is no header of it, whatever the origin", async () => {
    const response = await request(server, { path, headers: { origin: evil } });
    assert.equal(response.status, 200);
    assert.deepEqual(response.names.filter((name) => /^access-control|^vary$/i.test(name)), []);
  });
  test("a preflight is a bad handshake method", async () => {
    const response = await request(server, { method: "OPTIONS", path, headers: { origin: evil, "access-control-request-method": "GET" } });
    assert.deepEqual([response.status, response.text], [400, '{"code":2,"message":"Bad handshake method"}']);
  });
});

describe("with any origin", async () => {
  const server = await startServer({ corsOrigin: "*" });
  test("the answer is a star, and does not vary", async () => {
    const response = await request(server, { path, headers: { origin: evil } });
    assert.equal(response.headers[allow], "*");
    assert.equal(response.headers.vary, undefined);
    assert.equal((await request(server, { path })).headers[allow], "*");
  });
  test("errors and POSTs carry it too", async () => {
    const error = await request(server, { path: "/socket.io/?EIO=4&transport=x" });
    assert.deepEqual([error.status, error.headers[allow]], [400, "*"]);
    const session = await Polling.open(server);
    assert.equal((await session.post("40")).headers[allow], "*");
    assert.equal((await session.get()).headers[allow], "*");
  });
  test("so does the 101", async () => {
    const raw = await RawWs.open(server, { headers: { Origin: evil } });
    assert.match(raw.responseHead, /\r\naccess-control-allow-origin: \*/i);
    raw.abort();
  });
});

describe("with a list of origins", async () => {
  const server = await startServer({ corsOrigin: `${good},https://other.example`, corsCredentials: true, corsMaxAge: 600 });
  test("an allowed one is echoed", async () => {
    const response = await request(server, { path, headers: { origin: good } });
    assert.equal(response.headers[allow], good);
    assert.match(response.headers.vary, /\bOrigin\b/);
    assert.equal(response.headers["access-control-allow-credentials"], "true");
  });
  test("another is answered without the header: the browser keeps the page out", async () => {
    const response = await request(server, { path, headers: { origin: evil } });
    assert.equal(response.status, 200);
    assert.equal(response.headers[allow], undefined);
    assert.match(response.headers.vary, /\bOrigin\b/);
  });
  test("a preflight is answered", async () => {
    const headers = { origin: good, "access-control-request-method": "POST", "access-control-request-headers": "x-a,content-type" };
    const response = await request(server, { method: "OPTIONS", path, headers });
    assert.deepEqual([response.status, response.text], [204, ""]);
    assert.equal(response.headers[allow], good);
    assert.equal(response.headers["access-control-allow-methods"], "GET,HEAD,PUT,PATCH,POST,DELETE");
    assert.equal(response.headers["access-control-allow-headers"], "x-a,content-type");
    assert.equal(response.headers["access-control-max-age"], "600");
    assert.equal(response.headers["access-control-allow-credentials"], "true");
    assert.match(response.headers.vary, /Access-Control-Request-Headers/);
  });
});

describe("cookie", async () => {
  const server = await startServer({ cookie: true });
  test("comes with the polling handshake alone", async () => {
    const session = await Polling.open(server);
    assert.deepEqual(session.response.headers["set-cookie"], [`io=${session.sid}; Path=/; HttpOnly; SameSite=Lax`]);
    assert.equal((await session.post("40")).headers["set-cookie"], undefined);
    assert.equal((await session.get()).headers["set-cookie"], undefined);
  });
  test("and not with a WebSocket handshake", async () => {
    const raw = await RawWs.open(server);
    assert.doesNotMatch(raw.responseHead, /set-cookie/i);
    raw.abort();
  });
});

describe("allowed origins", async () => {
  const server = await startServer({ corsOrigin: good, allowedOrigins: good });
  test("turn away a page from elsewhere, over WebSocket too", ours("has no origin check"), async () => {
    const response = await request(server, { path, headers: { origin: evil } });
    assert.ok([400, 403].includes(response.status));
    const tcp = new Tcp(server);
    tcp.write(upgradeRequest(server, { headers: { Origin: evil } }));
    assert.match(await tcp.head(), /^HTTP\/1\.1 40[03] /);
    tcp.abort();
  });
  test("let in their own, and what is no browser", async () => {
    for (const headers of [{ Origin: good }, {}]) {
      assert.equal((await request(server, { path, headers })).status, 200);
      const raw = await RawWs.open(server, { headers });
      raw.abort();
    }
  });
});
