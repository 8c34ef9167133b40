// What arrives on the port before it is a packet: garbage, floods of headers, and requests that never end.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Bystanders } from "../lib/bystanders.mjs";
import { Polling } from "../lib/http.mjs";
import { isReference, ours, startServer } from "../lib/server.mjs";
import { RawWs, Tcp, frame, upgradeRequest } from "../lib/ws.mjs";

const MiB = 1024 * 1024;
const server = await startServer();
const strict = await startServer({ headerReadTimeout: 500, bodyReadTimeout: 500 });
const path = "/socket.io/?EIO=4&transport=polling";

/** Sends bytes, gives the status line of the answer; undefined when the connection just ends. */
async function provoke(target, bytes) {
  const tcp = new Tcp(target);
  tcp.write(bytes);
  const head = await tcp.head();
  tcp.abort();
  return head?.split("\r\n")[0];
}

describe("garbage instead of HTTP", () => {
  const inputs = {
    "random bytes": Buffer.from(Array.from({ length: 2000 }, (_, index) => (index * 7919) & 255)),
    "a TLS hello": Buffer.from("16030100c8010000c40303", "hex"),
    "an SSH banner": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a request line without a version": "GET /socket.io/\r\n\r\n",
    "a version to come": "GET / HTTP/9.9\r\n\r\n",
    "a header without a colon": `GET ${path} HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n`,
    "a space before the colon": `GET ${path} HTTP/1.1\r\nHost : x\r\n\r\n`,
    "zero bytes in a header": `GET ${path} HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n`,
    "a negative content length": `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n`,
    "two content lengths": `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n`,
  };
  for (const [name, bytes] of Object.entries(inputs)) {
    test(name, async (t) => {
      const crowd = await Bystanders.join(t, server);
      const tcp = new Tcp(server);
      tcp.write(bytes);
      tcp.socket.end();
      await tcp.readToEnd();
      const answer = tcp.received.toString("latin1");
      assert.ok(answer === "" || /^HTTP\/1\.[01] 4\d\d /.test(answer) || !answer.startsWith("HTTP/1.1 2"), answer.slice(0, 80));
      await crowd.unharmed();
      await server.settled(crowd.counts);
    });
  }

  test("a length and chunks at once are not a way to smuggle a request", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const session = await Polling.connect(server);
    const smuggled = `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const tcp = new Tcp(server);
    tcp.write(`POST ${session.path()} HTTP/1.1\r\nHost: x\r\nContent-Length: ${smuggled.length + 5}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n${smuggled}`);
    tcp.socket.end();
    await tcp.readToEnd();
    assert.ok(!tcp.received.includes('0{"sid"'), tcp.received.toString());
    await session.post("1").catch(() => {});
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });
});

describe("odd queries", () => {
  const queries = ["", "?", "?&&&", "?EIO", "?EIO=4&transport", "?EIO=4&transport=", "?EIO=4&transport=polling%00", "?EIO=4%0d%0aX:1&transport=x", "?transport[]=polling&EIO[]=4", `?${"a=b&".repeat(2000)}`, "?%", "?%ff=%fe", "?EIO=4&transport=polling&sid=", "?EIO=4&transport=polling&sid=%00", `?EIO=4&transport=polling&sid=${"x".repeat(5000)}`];
  test("are answered by the protocol or by 4xx", async (t) => {
    const asked = await startServer();
    const crowd = await Bystanders.join(t, asked);
    for (const query of queries) {
      const status = await provoke(asked, `GET /socket.io/${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      assert.match(status, /^HTTP\/1\.1 (4\d\d|200) /, query.slice(0, 60));
      // Never a 101 that is followed by silence, which the original has for transport=polling.
      if (isReference) continue;
      const upgrade = await provoke(asked, upgradeRequest(asked, { path: `/socket.io/${query}` }));
      assert.doesNotMatch(upgrade ?? "", / 101 /, query.slice(0, 60));
    }
    await crowd.unharmed();
  });
});

describe("floods of headers", () => {
  test("20 MB of them are cut off early", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const before = await server.rss();
    for (const start of [`GET ${path} HTTP/1.1\r\nHost: x\r\n`, upgradeRequest(server).slice(0, -2)]) {
      const tcp = new Tcp(server);
      tcp.write(start);
      const line = `X-Filler: ${"x".repeat(990)}\r\n`.repeat(64);
      let written = 0;
      while (!tcp.ended && !tcp.socket.destroyed && written < 20 * MiB) {
        written += line.length;
        await new Promise((resolve) => tcp.socket.write(line, resolve));
      }
      assert.ok(written < 20 * MiB, "the connection was cut");
      assert.match(tcp.received.toString(), /^(HTTP\/1\.1 (431|400) |$)/);
    }
    assert.ok((await server.rss()) - before < 32 * MiB);
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("very many small ones, on an upgrade too", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const many = Array.from({ length: 5000 }, (_, index) => `X-${index}: y\r\n`).join("");
    assert.match((await provoke(server, `GET ${path} HTTP/1.1\r\nHost: x\r\n${many}\r\n`)) ?? "HTTP/1.1 431 ", / (431|400) /);
    assert.match((await provoke(server, `${upgradeRequest(server).slice(0, -2)}${many}\r\n`)) ?? "HTTP/1.1 431 ", / (431|400) /);
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("a request line without end", async (t) => {
    const crowd = await Bystanders.join(t, server);
    assert.match((await provoke(server, `GET /socket.io/?x=${"y".repeat(200_000)}`)) ?? "HTTP/1.1 431 ", / (431|414|400) /);
    await crowd.unharmed();
  });
});

describe("slow loris", () => {
  test("on headers: the connection is cut after a while", async (t) => {
    const crowd = await Bystanders.join(t, strict);
    for (const start of ["", "G", `GET ${path} HTTP/1.1\r\n`, `GET ${path} HTTP/1.1\r\nHost: x\r\nX-Slow: `, upgradeRequest(strict).slice(0, -4)]) {
      const tcp = new Tcp(strict);
      await tcp.connected;
      if (start) tcp.write(start);
      // A byte now and then must not help.
      const drip = setInterval(() => tcp.socket.writable && start && tcp.write("x"), 100);
      await tcp.readToEnd(20_000);
      clearInterval(drip);
    }
    await crowd.unharmed();
    await strict.settled(crowd.counts);
  });

  test("on a POST body: the session is closed", ours("waits for minutes"), async (t) => {
    const crowd = await Bystanders.join(t, strict);
    const session = await Polling.connect(strict);
    const tcp = new Tcp(strict);
    tcp.write(`POST ${session.path()} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n42[`);
    const drip = setInterval(() => tcp.socket.writable && tcp.write("x"), 100);
    await tcp.readToEnd(20_000);
    clearInterval(drip);
    assert.equal(await strict.reason(session.id), "transport error");
    await crowd.unharmed();
    await strict.settled(crowd.counts);
  });

  test("on a WebSocket frame: the heartbeat ends it", async (t) => {
    const beating = await startServer({ pingInterval: 300, pingTimeout: 300 });
    const crowd = await Bystanders.join(t, beating);
    const raw = await RawWs.connect(beating);
    const bytes = frame({ payload: "x".repeat(900_000) });
    raw.write(bytes.subarray(0, 100));
    let at = 100;
    const drip = setInterval(() => raw.socket.writable && raw.write(bytes.subarray(at, (at += 1))), 50);
    assert.equal(await beating.reason(raw.id), "ping timeout");
    clearInterval(drip);
    // The original gives the peer another half minute for its close frame.
    if (!isReference) await raw.readToEnd();
    raw.abort();
    await crowd.unharmed();
    await beating.settled(crowd.counts);
  });
});

test("a POST beyond the limit is not read into memory", async (t) => {
  const crowd = await Bystanders.join(t, server);
  const before = await server.rss();
  const session = await Polling.connect(server);
  const tcp = new Tcp(server);
  tcp.write(`POST ${session.path()} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\n`);
  const chunk = Buffer.alloc(MiB, "x");
  for (let written = 0; written < 200 && tcp.socket.writable && tcp.received.length === 0; written += 1) await new Promise((resolve) => tcp.socket.write(chunk, resolve));
  // Who goes on writing may find the connection reset before the answer was read.
  assert.match((await tcp.head()) ?? "HTTP/1.1 413 ", /^HTTP\/1\.1 413 /);
  tcp.abort();
  assert.ok((await server.rss()) - before < 64 * MiB);
  assert.equal((await session.post("1")).text, "ok");
  await crowd.unharmed();
  await server.settled(crowd.counts);
});
