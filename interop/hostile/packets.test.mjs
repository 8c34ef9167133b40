// Malformed and oversized packets: the offender goes, the others notice nothing, nothing grows.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Bystanders } from "../lib/bystanders.mjs";
import { Polling, SEPARATOR } from "../lib/http.mjs";
import { isReference, ours, startServer } from "../lib/server.mjs";
import { RawWs, Ws, frame } from "../lib/ws.mjs";

const server = await startServer({ allowEio3: true });
const msgpack = await startServer({ parser: "msgpack" });
const MiB = 1024 * 1024;
const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;
const alive = async (ws) => {
  ws.send('42["message","alive"]');
  while ((await ws.next()) !== '42["message-back","alive"]');
};

/** Watches the server's memory: `check(bytes)` fails when it has grown by more. */
async function watchMemory(target) {
  const before = await target.rss();
  return async (allowance) => {
    const grown = (await target.rss()) - before;
    // The original has a garbage collector, which takes its time.
    assert.ok(isReference || grown < allowance, `${Math.round(grown / MiB)} MiB more`);
  };
}

describe("Socket.IO packets", () => {
  test("a binary event without attachments does not make later ones pile up", ours("depends on the parser's version"), async (t) => {
    const crowd = await Bystanders.join(t, server);
    for (const packet of ['450-["message",1]', '460-1["x"]']) {
      const ws = await Ws.connect(server);
      ws.send(packet);
      for (let index = 0; index < 50; index += 1) ws.send(Buffer.alloc(100_000));
      assert.equal(await ws.closeCode(), 1005);
      assert.equal(await server.reason(ws.id), "forced close");
    }
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("announced attachments that never come are not waited for in memory", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const attack = async () => {
      const ws = await Ws.connect(server);
      ws.send(`4510-["message",${placeholder(0)}]`);
      for (let index = 0; index < 9; index += 1) ws.send(Buffer.alloc(50_000));
      await new Promise((resolve) => ws.socket.ping("", true, resolve));
      ws.abort();
    };
    for (let round = 0; round < 10; round += 1) await attack();
    const check = await watchMemory(server);
    for (let round = 0; round < 100; round += 1) await attack();
    await server.settled(crowd.counts);
    await check(24 * MiB);
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("attachments left over are forgotten with their namespace", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const ws = await Ws.connect(server);
    ws.send(`452-["message",${placeholder(0)},${placeholder(1)}]`);
    ws.send(Buffer.alloc(1000));
    ws.send("41");
    assert.equal(await ws.closeCode(), 1005);
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("the sum of the attachments is bounded too", ours("has no such bound"), async (t) => {
    const crowd = await Bystanders.join(t, server);
    const ws = await Ws.connect(server);
    const check = await watchMemory(server);
    ws.send(`451000-["message",${placeholder(0)}]`);
    for (let index = 0; index < 200 && ws.socket.readyState === 1; index += 1) ws.send(Buffer.alloc(900_000));
    assert.equal(await ws.closeCode(), 1005);
    assert.equal(await server.reason(ws.id), "forced close");
    await check(100 * MiB);
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("binary data before a namespace is joined closes", async (t) => {
    const crowd = await Bystanders.join(t, server);
    for (const data of [[Buffer.alloc(10)], [`451-["message",${placeholder(0)}]`, Buffer.alloc(10)], ['42["message"]']]) {
      const ws = await Ws.open(server);
      for (const part of data) ws.send(part);
      assert.equal(await ws.closeCode(), 1005);
    }
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("short texts of several bytes a character", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const texts = ["é", "€", "😀", "4é", "4€", "4😀", "42é", "42€€", "42😀", "45€-", "451€", "40/é", "42/é,", "42/€€", "42😀[]", "43€[]", "b€€", "bé", "4\u0000", "42\u0000[]", "2é", "41€"];
    for (const text of texts) {
      const ws = await Ws.connect(server);
      ws.send(text);
      // Some are packets, most are none; whichever: an answer or a close.
      ws.send('42["message","alive"]');
      await Promise.race([ws.closed, ws.next()]);
      ws.abort();
      const session = await Polling.connect(server);
      assert.equal((await session.post(text)).text, "ok");
      await session.post("1").catch(() => {});
      const old = await Polling.open(server, { EIO: "3" });
      assert.equal((await old.post(`${text.length}:${text}`)).text, "ok");
      await old.post("1:1").catch(() => {});
    }
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("deeply nested JSON", ours("ends with an exception"), async (t) => {
    const crowd = await Bystanders.join(t, server);
    for (const nested of ["[".repeat(400_000) + "]".repeat(400_000), '{"a":'.repeat(120_000) + "1" + "}".repeat(120_000), "[".repeat(900_000)]) {
      for (const name of ["message", "describe", "no such event"]) {
        const ws = await Ws.connect(server);
        ws.send(`421["${name}",${nested}]`);
        ws.send('42["message","alive"]');
        await Promise.race([ws.closed, ws.next()]);
        ws.abort();
      }
      const ws = await Ws.open(server);
      ws.send(`40{"a":${nested}}`);
      await Promise.race([ws.closed, ws.next()]);
      ws.abort();
    }
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("deeply nested JSON around an attachment", ours("ends with an exception"), async (t) => {
    const crowd = await Bystanders.join(t, server);
    for (const depth of [100, 1000, 10_000, 100_000]) {
      const ws = await Ws.connect(server);
      ws.send(`451-["describe",${"[".repeat(depth)}${placeholder(0)}${"]".repeat(depth)}]`);
      ws.send(Buffer.from([1]));
      ws.send('42["message","alive"]');
      await Promise.race([ws.closed, ws.next()]);
      ws.abort();
    }
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("deeply nested MessagePack", ours("ends with an exception"), async () => {
    for (const open of [0x91, 0x81]) {
      const ws = await Ws.open(msgpack);
      const level = open === 0x91 ? [0x91] : [0x81, 0xa1, 0x61];
      ws.send(Buffer.concat([Buffer.from("83a47479706502a36e7370a12fa464617461", "hex"), Buffer.from(Array(200_000).fill(level).flat()), Buffer.from([0xc0])]));
      assert.equal(await ws.closeCode(), 1005);
    }
    await msgpack.settled({ connections: 0 });
  });

  test("numbers no one can hold", async (t) => {
    const crowd = await Bystanders.join(t, server);
    for (const number of ["1e400", "-1e400", "1".repeat(10_000), "0." + "1".repeat(10_000), "1e-99999", "18446744073709551616", "-9223372036854775809"]) {
      const ws = await Ws.connect(server);
      ws.send(`421["describe",${number}]`);
      ws.send('42["message","alive"]');
      await Promise.race([ws.closed, ws.next()]);
      ws.abort();
    }
    for (const id of ["9".repeat(400), "18446744073709551616", "1e3", "0x1", "-1", "1.5"]) {
      const ws = await Ws.connect(server);
      ws.send(`42${id}["message-with-ack",1]`);
      ws.send('42["message","alive"]');
      await Promise.race([ws.closed, ws.next()]);
      ws.abort();
    }
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("namespaces joined by the thousand", ours("joins them all"), async (t) => {
    const crowd = await Bystanders.join(t, server);
    const ws = await Ws.connect(server);
    for (let index = 0; index < 2000; index += 1) ws.send(`40/dynamic-${index},`);
    let joined = 0;
    let refused = 0;
    while (joined + refused < 2000 && ws.socket.readyState === 1) {
      const packet = await Promise.race([ws.next(), ws.closed]);
      if (typeof packet !== "string") break;
      if (packet.startsWith("40/")) joined += 1;
      if (packet.startsWith("44/")) refused += 1;
    }
    assert.ok(joined < 1000, `${joined} joined`);
    ws.abort();
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("names of attempted namespaces leave nothing behind", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const before = (await server.stats()).namespaces;
    const ws = await Ws.connect(server);
    for (let index = 0; index < 1000; index += 1) {
      ws.send(`40/unknown-${index}-${"x".repeat(1000)},`);
      await ws.next();
    }
    for (let index = 0; index < 200; index += 1) {
      ws.send("40/deny,");
      await ws.next();
    }
    assert.equal((await server.stats()).namespaces, before);
    ws.abort();
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("acknowledgements nobody asked for", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const ws = await Ws.connect(server);
    for (let index = 0; index < 20_000; index += 1) ws.send(`43${index}["x"]`);
    await alive(ws);
    ws.abort();
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });
});

describe("Engine.IO payloads", () => {
  test("one body with very many packets costs no more than its bytes", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const begun = performance.now();
    for (const body of [`6${SEPARATOR}`.repeat(499_999) + "6", SEPARATOR.repeat(1_000_000), `4${SEPARATOR}`.repeat(499_999) + "4", `b${SEPARATOR}`.repeat(499_999) + "b", "b".repeat(1_000_000)]) {
      const session = await Polling.connect(server);
      assert.equal((await session.post(body)).text, "ok");
      await session.post("1").catch(() => {});
    }
    for (const body of ["0:".repeat(500_000), "1:6".repeat(333_333), "1".repeat(1_000_000), `${"9".repeat(999_990)}:4`]) {
      const old = await Polling.open(server, { EIO: "3" });
      assert.equal((await old.post(body)).text, "ok");
      await old.post("1:1").catch(() => {});
    }
    await crowd.unharmed();
    assert.ok(performance.now() - begun < 30_000);
    await server.settled(crowd.counts);
  });

  test("pongs unasked for start nothing", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const ws = await Ws.connect(server);
    const check = await watchMemory(server);
    for (let index = 0; index < 50_000; index += 1) ws.send("3");
    await alive(ws);
    await check(24 * MiB);
    ws.abort();
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("a POST of octets leaves no request open", async (t) => {
    const crowd = await Bystanders.join(t, server);
    for (let round = 0; round < 50; round += 1) {
      const session = await Polling.connect(server);
      assert.equal((await session.post(Buffer.alloc(10), { "content-type": "application/octet-stream" })).status, 400);
    }
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });
});

describe("WebSocket messages", () => {
  test("a hundred thousand fragments of one byte cost what their bytes cost", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const raw = await RawWs.connect(server);
    const check = await watchMemory(server);
    const text = `42["note","${"x".repeat(100_000)}"]`;
    const pieces = Array.from(text, (char, index) => frame({ opcode: index === 0 ? 1 : 0, fin: index === text.length - 1, payload: char }));
    const begun = performance.now();
    raw.write(Buffer.concat(pieces));
    raw.write(frame({ payload: '421["noted"]' }));
    // Taken, or refused for having too many fragments: both are answers.
    const answer = await raw.nextFrame(30_000);
    assert.ok(answer === undefined || answer.opcode === 8 || answer.payload.toString().startsWith('431[["xxx'));
    assert.ok(performance.now() - begun < 15_000);
    await check(48 * MiB);
    raw.abort();
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("empty fragments without end pin nothing", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const raw = await RawWs.connect(server);
    const check = await watchMemory(server);
    raw.write(frame({ fin: false, payload: "4" }));
    const chunk = Buffer.concat(Array.from({ length: 20_000 }, () => frame({ fin: false, opcode: 0, payload: "" })));
    for (let round = 0; round < 10; round += 1) await new Promise((resolve) => raw.socket.write(chunk, resolve));
    await check(32 * MiB);
    raw.abort();
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });

  test("announced lengths are not believed", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const check = await watchMemory(server);
    // Each announces just less than the limit, and sends nothing of it.
    const all = await Promise.all(Array.from({ length: 200 }, () => RawWs.connect(server)));
    for (const raw of all) raw.write(frame({ payload: "", length: 1_000_000 }));
    await crowd.unharmed();
    await check(64 * MiB);
    all.forEach((raw) => raw.abort());
    await server.settled(crowd.counts);
  });

  test("a flood of pings is answered or refused, in bounded memory", async (t) => {
    const crowd = await Bystanders.join(t, server);
    const raw = await RawWs.connect(server);
    const check = await watchMemory(server);
    raw.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 2000 }, () => frame({ opcode: 9, payload: "x".repeat(125) })));
    let written = 0;
    // Never read, so that the pongs cannot leave.
    while (written < 32 * MiB && !raw.socket.destroyed && raw.socket.writableLength < 4 * MiB) {
      raw.write(pings);
      written += pings.length;
      await new Promise(setImmediate);
    }
    await check(64 * MiB);
    raw.abort();
    await crowd.unharmed();
    await server.settled(crowd.counts);
  });
});
