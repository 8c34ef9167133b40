// Engine.IO revision 4 over HTTP long-polling.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import zlib from "node:zlib";
import { Polling, SEPARATOR, json, request } from "../lib/http.mjs";
import { ours, startServer } from "../lib/server.mjs";
import { Tcp } from "../lib/ws.mjs";

const limit = 20_000;
const server = await startServer({ maxHttpBufferSize: limit });

const closed = async (session) => assert.equal(json(await session.get()).code, 1);

describe("GET", () => {
  test("waits until there is something, and then gives all of it", async () => {
    const session = await Polling.connect(server);
    const get = await session.pendingGet();
    await session.post('42["message",1]');
    assert.equal((await get.response).text, '42["message-back",1]');
    await session.post(['42["message",1]', '42["message","zwei 😀"]', "452-" + '["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', "bAQIDBA==", "b/w=="].join(SEPARATOR));
    const response = await session.get();
    assert.equal(
      response.text,
      ['42["message-back",1]', '42["message-back","zwei 😀"]', '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', "bAQIDBA==", "b/w=="].join(SEPARATOR),
    );
    assert.equal(response.headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal(response.headers["content-length"], String(response.bytes.length));
    assert.equal(response.headers["cache-control"], "no-store");
  });

  test("twice at a time closes the session", async () => {
    const session = await Polling.connect(server);
    const first = await session.pendingGet();
    const second = await session.get();
    assert.equal(second.status, 400);
    const answered = await first.response;
    assert.deepEqual([answered.status, answered.text], [200, "1"]);
    assert.equal(await server.reason(session.id), "transport error");
    await closed(session);
  });

  test("cut while it waits closes the session", async () => {
    const session = await Polling.connect(server);
    const get = await session.pendingGet();
    get.abort();
    assert.equal(await server.reason(session.id), "transport error");
    await closed(session);
  });

  test("has no limit on the size of what it gives", async () => {
    const session = await Polling.connect(server);
    for (let round = 0; round < 4; round += 1) await session.post(`42["message","${"x".repeat(limit - 20)}"]`);
    assert.ok((await session.get()).bytes.length > 3 * limit);
  });
});

describe("POST", () => {
  test("is answered with ok", async () => {
    const session = await Polling.open(server);
    const response = await session.post("40");
    assert.equal(response.status, 200);
    assert.equal(response.text, "ok");
    assert.equal(response.headers["content-type"], "text/html");
    assert.equal(response.headers["content-length"], "2");
    assert.equal(response.headers["cache-control"], "no-store");
  });

  test("of exactly the limit is taken, of one byte more it is not, and the session lives", async () => {
    const session = await Polling.connect(server);
    const fill = (size) => `42["message","${"x".repeat(size - '42["message",""]'.length)}"]`;
    assert.equal((await session.post(fill(limit))).text, "ok");
    assert.equal((await session.next()).length, limit + "-back".length);
    const response = await session.post(fill(limit + 1));
    assert.deepEqual([response.status, response.text], [413, ""]);
    const chunked = await session.post(fill(limit + 1), { "transfer-encoding": "chunked" });
    assert.equal(chunked.status, 413);
    await session.post('42["message","alive"]');
    assert.equal(await session.next(), '42["message-back","alive"]');
  });

  test("counts bytes, not characters", async () => {
    const session = await Polling.connect(server);
    const body = `42["message","${"é".repeat(limit / 2)}"]`;
    assert.ok(body.length < limit);
    assert.equal((await session.post(body)).status, 413);
  });

  test("may come in pieces that cut a character in two", async () => {
    const session = await Polling.connect(server);
    const body = Buffer.from('42["message","😀é"]');
    const tcp = new Tcp(server);
    tcp.write(`POST ${session.path()} HTTP/1.1\r\nHost: ${server.host}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`);
    for (const byte of body) await new Promise((resolve) => tcp.socket.write(Buffer.from([byte]), resolve));
    assert.match((await tcp.readToEnd()).toString(), /\r\n\r\nok$/);
    assert.equal(await session.next(), '42["message-back","😀é"]');
  });

  test("twice at a time closes the session", async () => {
    const session = await Polling.connect(server);
    const slow = new Tcp(server);
    slow.write(`POST ${session.path()} HTTP/1.1\r\nHost: ${server.host}\r\nContent-Length: 100\r\n\r\n42[`);
    await new Promise((resolve) => slow.socket.write("x", resolve));
    for (let round = 0; round < 3; round += 1) await request(server, { path: "/socket.io/?transport=polling&EIO=4&sid=unknown" });
    assert.equal((await session.post('42["message",1]')).status, 400);
    await slow.readToEnd();
    assert.equal(await server.reason(session.id), "transport error");
  });

  test("cut in the middle closes the session", async () => {
    const session = await Polling.connect(server);
    const cut = new Tcp(server);
    cut.write(`POST ${session.path()} HTTP/1.1\r\nHost: ${server.host}\r\nContent-Length: 100\r\n\r\n42[`);
    for (let round = 0; round < 3; round += 1) await request(server, { path: "/socket.io/?transport=polling&EIO=4&sid=unknown" });
    cut.abort();
    assert.equal(await server.reason(session.id), "transport error");
    await closed(session);
  });

  test("of octets is refused and closes the session", async () => {
    const session = await Polling.connect(server);
    const get = await session.pendingGet();
    const response = await session.post(Buffer.from([4, 52]), { "content-type": "application/octet-stream" });
    assert.equal(response.status, 400);
    assert.equal(await server.reason(session.id), "transport error");
    assert.equal((await get.response).status, 200);
    await closed(session);
  });

  test("of any other content type, or of none, is read", async () => {
    const session = await Polling.connect(server);
    for (const headers of [{ "content-type": "application/json" }, { "content-type": "text/plain; charset=latin1" }]) {
      assert.equal((await session.post('42["message","x"]', headers)).text, "ok");
      assert.equal(await session.next(), '42["message-back","x"]');
    }
    assert.equal((await request(server, { method: "POST", path: session.path(), body: '42["message","y"]' })).text, "ok");
    assert.equal(await session.next(), '42["message-back","y"]');
  });

  test("with a bad packet is ok all the same, and the session ends", async () => {
    const session = await Polling.connect(server);
    const get = await session.pendingGet();
    const response = await session.post(['42["message","before"]', "9bad", '42["message","behind"]'].join(SEPARATOR));
    assert.deepEqual([response.status, response.text], [200, "ok"]);
    // The answer to what came before may have gone out already.
    const { text } = await get.response;
    assert.ok(["1", '42["message-back","before"]'].includes(text), text);
    assert.equal(await server.reason(session.id), "parse error");
    await closed(session);
  });

  for (const [name, body] of [["an empty body", ""], ["an empty packet", `42["message",1]${SEPARATOR}`], ["only a separator", SEPARATOR], ["an unknown type", "x"]]) {
    test(`with ${name} is a parse error`, async () => {
      const session = await Polling.connect(server);
      await session.post(body);
      assert.equal(await server.reason(session.id), "parse error");
      await closed(session);
    });
  }

  test("with a close packet ends the session and what waits for it", async () => {
    const session = await Polling.connect(server);
    const get = await session.pendingGet();
    const response = await session.post(["1", '42["drop-transport"]'].join(SEPARATOR));
    assert.equal(response.text, "ok");
    assert.equal((await get.response).text, "6");
    assert.equal(await server.reason(session.id), "transport close");
    await closed(session);
  });

  test("takes base64 with or without its padding", async () => {
    const session = await Polling.connect(server);
    for (const data of ["bAQIDBA==", "bAQIDBA"]) {
      await session.post(`451-["message",{"_placeholder":true,"num":0}]${SEPARATOR}${data}`);
      assert.equal(await session.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
      assert.equal(await session.next(), "bAQIDBA==");
    }
  });

  test("may hold very many packets, all of them count", async () => {
    const session = await Polling.connect(server);
    await session.post(Array.from({ length: 1000 }, (_, index) => `42["note",${index}]`).join(SEPARATOR));
    await session.post('421["noted"]');
    assert.equal(await session.next(), `431[[${Array.from({ length: 1000 }, (_, index) => index)}]]`);
  });

  test("may carry attachments behind in a later POST", async () => {
    const session = await Polling.connect(server);
    await session.post('451-["message",{"_placeholder":true,"num":0}]');
    await session.post("bAQ==");
    assert.equal(await session.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.equal(await session.next(), "bAQ==");
  });
});

test("other methods on a live session are refused and do it no harm", async () => {
  const session = await Polling.connect(server);
  for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
    const response = await request(server, { method, path: session.path() });
    assert.deepEqual([response.status, response.text], [500, ""], method);
  }
  await session.post('42["message","alive"]');
  assert.equal(await session.next(), '42["message-back","alive"]');
});

describe("a close by the server", () => {
  test("is told to the waiting GET", async () => {
    const session = await Polling.connect(server);
    const get = await session.pendingGet();
    await session.post('42["drop-transport"]');
    assert.equal((await get.response).text, "1");
    assert.equal(await server.reason(session.id), "forced close");
    await closed(session);
  });

  test("waits for the next GET", async () => {
    const session = await Polling.connect(server);
    await session.post('42["drop-transport"]');
    assert.equal((await session.get()).text, `6${SEPARATOR}1`);
    await closed(session);
  });

  test("comes behind what was queued", async () => {
    const session = await Polling.connect(server);
    await session.post('42["disconnect-me",true]');
    const texts = [];
    while (!texts.join(SEPARATOR).endsWith("1") || texts.at(-1) === "41") texts.push((await session.get()).text);
    const packets = texts.join(SEPARATOR).split(SEPARATOR).filter((packet) => packet !== "6");
    assert.deepEqual(packets, ["41", "1"]);
    assert.equal(await server.reason(session.id), "server namespace disconnect");
  });
});

describe("JSONP", () => {
  const form = (payload) => `d=${encodeURIComponent(payload)}`;
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const unwrap = (text, index = "0") => {
    assert.ok(text.startsWith(`___eio[${index}](`) && text.endsWith(");"), text);
    return JSON.parse(text.slice(`___eio[${index}](`.length, -2));
  };

  test("wraps each answer into a call", async () => {
    const first = await request(server, { path: "/socket.io/?EIO=4&transport=polling&j=x1y2" });
    assert.equal(first.headers["content-type"], "text/plain; charset=UTF-8");
    const { sid } = JSON.parse(unwrap(first.text, "12").slice(1));
    const path = `/socket.io/?EIO=4&transport=polling&sid=${sid}&j=12`;
    const send = (payload) => request(server, { method: "POST", path, headers, body: form(payload) });
    const receive = async () => (await request(server, { path })).text;
    assert.equal((await send("40")).text, "ok");
    assert.match(unwrap(await receive(), "12"), /^40\{"sid"/);
    await send('42["message","line\u2028 paragraph\u2029 </script> 😀 \\" "]');
    const raw = await receive();
    // The line separators of ECMAScript are escaped.
    assert.ok(!raw.includes("\u2028") && !raw.includes("\u2029"));
    assert.ok(raw.includes("\\u2028") && raw.includes("\\u2029"));
    assert.equal(unwrap(raw, "12"), '42["message-back","line\u2028 paragraph\u2029 </script> 😀 \\" "]');
    await send(`451-["message",{"_placeholder":true,"num":0}]${SEPARATOR}bAQI=`);
    assert.equal(unwrap(await receive(), "12"), `451-["message-back",{"_placeholder":true,"num":0}]${SEPARATOR}bAQI=`);
  });

  test("undoes the escaping of line breaks in a form", async () => {
    const { sid } = JSON.parse(unwrap((await request(server, { path: "/socket.io/?EIO=4&transport=polling&j=0" })).text).slice(1));
    const path = `/socket.io/?EIO=4&transport=polling&j=0&sid=${sid}`;
    const send = (payload) => request(server, { method: "POST", path, headers, body: form(payload) });
    await send("40");
    await request(server, { path });
    // Backslash n between the packets' tokens is a line break, which JSON allows there; doubled it stays as it is.
    await send('42["message",\\n"a\\\\nb"]');
    assert.equal(unwrap((await request(server, { path })).text), '42["message-back","a\\nb"]');
  });
});

describe("compression", () => {
  const big = `42["message","${"x".repeat(1100)}"]`;
  const small = '42["message","small"]';

  for (const [accept, expected] of [
    ["gzip", "gzip"],
    ["deflate", "deflate"],
    ["gzip, deflate", "gzip"],
    ["deflate;q=0.5, gzip", "gzip"],
    ["*", "gzip"],
    ["gzip;q=0, deflate", "deflate"],
    ["identity", undefined],
    [undefined, undefined],
  ]) {
    test(`Accept-Encoding ${accept}: ${expected}`, async () => {
      const session = await Polling.connect(server);
      const headers = accept ? { "accept-encoding": accept } : {};
      await session.post(big);
      const response = await session.get(headers);
      assert.equal(response.headers["content-encoding"], expected);
      assert.ok([undefined, String(response.bytes.length)].includes(response.headers["content-length"]));
      const undo = { gzip: zlib.gunzipSync, deflate: zlib.inflateSync, undefined: (bytes) => bytes }[expected];
      assert.equal(undo(response.bytes).toString(), big.replace("message", "message-back"));
      await session.post(small);
      assert.equal((await session.get(headers)).headers["content-encoding"], undefined);
    });
  }

  test("brotli where the client prefers it", ours("has no brotli here"), async () => {
    const session = await Polling.connect(server);
    await session.post(big);
    const response = await session.get({ "accept-encoding": "br" });
    assert.equal(response.headers["content-encoding"], "br");
    assert.equal(zlib.brotliDecompressSync(response.bytes).toString(), big.replace("message", "message-back"));
  });

  test("begins at the threshold, in bytes", async () => {
    const tight = await startServer({ httpCompressionThreshold: 100 });
    const session = await Polling.connect(tight);
    const headers = { "accept-encoding": "gzip" };
    for (const [length, expected] of [[100, "gzip"], [99, undefined]]) {
      const fixed = '42["message-back",""]'.length;
      await session.post(`42["message","${"x".repeat(length - fixed)}"]`);
      assert.equal((await session.get(headers)).headers["content-encoding"], expected, `${length} bytes`);
    }
    await session.post(`42["message","${"é".repeat(45)}"]`);
    assert.equal((await session.get(headers)).headers["content-encoding"], "gzip");
  });

  test("of a request is not undone", async () => {
    const session = await Polling.connect(server);
    const response = await session.post(zlib.gzipSync(small), { "content-encoding": "gzip" });
    // Read as it is, it is no packet; refusing it by status is as good.
    assert.ok([200, 415].includes(response.status));
    if (response.status === 200) assert.equal(await server.reason(session.id), "parse error");
  });
});

test("browsers of old are told not to filter", async () => {
  const response = await request(server, { path: "/socket.io/?EIO=4&transport=polling", headers: { "user-agent": "Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0)" } });
  assert.equal(response.headers["x-xss-protection"], "0");
});
