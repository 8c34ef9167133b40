// RFC 6455 under Engine.IO: framing, limits, close codes.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ours, startServer } from "../lib/server.mjs";
import { RawWs, Ws, closePayload, frame, upgradeRequest, wsPath } from "../lib/ws.mjs";

const limit = 100_000;
const server = await startServer({ maxHttpBufferSize: limit });
const echo = (text) => `42["message","${text}"]`;
const echoed = (text) => `42["message-back","${text}"]`;
const fill = (size) => echo("x".repeat(size - echo("").length));

describe("the handshake", () => {
  test("answers 101 with the accepted key, and nothing it was not asked for", async () => {
    const raw = await RawWs.open(server);
    const [status, ...lines] = raw.responseHead.split("\r\n");
    assert.equal(status, "HTTP/1.1 101 Switching Protocols");
    const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]));
    assert.equal(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert.equal(headers.upgrade.toLowerCase(), "websocket");
    assert.equal(headers.connection.toLowerCase(), "upgrade");
    for (const name of ["sec-websocket-protocol", "sec-websocket-extensions", "set-cookie", "content-length", "transfer-encoding"]) {
      assert.equal(headers[name], undefined, name);
    }
    raw.abort();
  });

  test("chooses the first subprotocol offered", async () => {
    const raw = await RawWs.open(server, { headers: { "Sec-WebSocket-Protocol": "chat, superchat" } });
    assert.match(raw.responseHead, /\r\nsec-websocket-protocol: chat\r?$/im);
    raw.abort();
  });

  test("does not take up compression, nor odd extensions", async () => {
    for (const extensions of ["permessage-deflate; client_max_window_bits", "x-unknown; a=1", "permessage-deflate; server_max_window_bits=99"]) {
      const raw = await RawWs.open(server, { headers: { "Sec-WebSocket-Extensions": extensions } });
      assert.doesNotMatch(raw.responseHead, /sec-websocket-extensions/i);
      assert.equal((await raw.nextFrame()).rsv, 0);
      raw.abort();
    }
  });

  test("takes header names and values in any case, Connection with more in it", async () => {
    const raw = await RawWs.open(server, { headers: { Connection: "keep-alive, UPGRADE", Upgrade: "WebSocket" } });
    assert.equal((await raw.nextFrame()).opcode, 1);
    raw.abort();
  });

  test("loses nothing that came right behind the request", ours("drops it"), async () => {
    const raw = new RawWs(server);
    raw.write(Buffer.concat([Buffer.from(upgradeRequest(server)), frame({ payload: "40" })]));
    assert.match(await raw.head(), /^HTTP\/1\.1 101/);
    assert.match((await raw.nextFrame()).payload.toString(), /^0\{/);
    assert.match((await raw.nextFrame()).payload.toString(), /^40\{/);
    raw.abort();
  });
});

describe("frames of the server", () => {
  test("are whole, unmasked, without reserved bits, text or binary as the packet is", async () => {
    const raw = await RawWs.connect(server);
    raw.write(frame({ payload: echo("x") }));
    raw.write(frame({ payload: '451-["message",{"_placeholder":true,"num":0}]' }));
    raw.write(frame({ opcode: 2, payload: Buffer.from([0, 255]) }));
    const frames = [await raw.nextFrame(), await raw.nextFrame(), await raw.nextFrame()];
    for (const { fin, rsv, masked } of frames) assert.deepEqual([fin, rsv, masked], [true, 0, false]);
    assert.deepEqual(frames.map(({ opcode }) => opcode), [1, 1, 2]);
    assert.equal(frames[0].payload.toString(), echoed("x"));
    assert.deepEqual(frames[2].payload, Buffer.from([0, 255]));
    raw.abort();
  });

  test("use the shortest length", async () => {
    const raw = await RawWs.connect(server);
    for (const size of [125, 126, 127, 65_535, 65_536]) {
      const text = "y".repeat(size - echoed("").length);
      raw.write(frame({ payload: echo(text) }));
      const header = await raw.read((bytes) => (bytes.length >= 2 ? bytes[1] : undefined), "frame header");
      assert.equal(header, size < 126 ? size : size < 65_536 ? 126 : 127);
      assert.equal((await raw.nextFrame()).payload.length, size);
    }
    raw.abort();
  });
});

describe("frames of the client", () => {
  test("may come byte by byte", async () => {
    const raw = await RawWs.connect(server);
    for (const byte of frame({ payload: echo("päckchen 😀") })) await new Promise((resolve) => raw.socket.write(Buffer.from([byte]), resolve));
    assert.equal((await raw.nextFrame()).payload.toString(), echoed("päckchen 😀"));
    raw.abort();
  });

  test("may come many in one write", async () => {
    const raw = await RawWs.connect(server);
    raw.write(Buffer.concat(Array.from({ length: 300 }, (_, index) => frame({ payload: echo(String(index)) }))));
    for (let index = 0; index < 300; index += 1) assert.equal((await raw.nextFrame()).payload.toString(), echoed(String(index)));
    raw.abort();
  });

  test("may be fragmented anywhere, inside a character too, with pings between", async () => {
    const raw = await RawWs.connect(server);
    const bytes = Buffer.from(echo("für 😀"));
    const cut = bytes.indexOf(0xf0) + 2;
    raw.write(frame({ fin: false, payload: bytes.subarray(0, cut) }));
    raw.write(frame({ opcode: 9, payload: "between" }));
    raw.write(frame({ fin: false, opcode: 0, payload: "" }));
    raw.write(frame({ opcode: 0, payload: bytes.subarray(cut) }));
    const pong = await raw.nextFrame();
    assert.deepEqual([pong.opcode, pong.payload.toString()], [10, "between"]);
    assert.equal((await raw.nextFrame()).payload.toString(), echoed("für 😀"));
    raw.abort();
  });

  test("binary messages may be fragmented", async () => {
    const raw = await RawWs.connect(server);
    raw.write(frame({ payload: '451-["message",{"_placeholder":true,"num":0}]' }));
    for (const [index, byte] of [1, 2, 3].entries()) raw.write(frame({ opcode: index === 0 ? 2 : 0, fin: index === 2, payload: Buffer.from([byte]) }));
    await raw.nextFrame();
    assert.deepEqual((await raw.nextFrame()).payload, Buffer.from([1, 2, 3]));
    raw.abort();
  });

  test("a ping is answered with its own data, a pong is not answered", async () => {
    const raw = await RawWs.connect(server);
    raw.write(frame({ opcode: 10, payload: "unasked" }));
    for (const payload of ["", "x".repeat(125)]) {
      raw.write(frame({ opcode: 9, payload }));
      const pong = await raw.nextFrame();
      assert.deepEqual([pong.opcode, pong.fin, pong.masked, pong.payload.toString()], [10, true, false, payload]);
    }
    raw.abort();
  });

  test("a close frame is answered, the reason is transport close", async () => {
    for (const payload of ["", closePayload(1000), closePayload(1001, "going away"), closePayload(3000), closePayload(4999)]) {
      const raw = await RawWs.connect(server);
      raw.write(frame({ opcode: 8, payload }));
      assert.notEqual(await raw.closeCode(), undefined);
      await raw.readToEnd();
      assert.equal(await server.reason(raw.id), "transport close");
    }
  });

  test("a connection cut without a close frame is a transport close", async () => {
    const raw = await RawWs.connect(server);
    raw.abort();
    assert.equal(await server.reason(raw.id), "transport close");
    const half = await RawWs.connect(server);
    half.socket.end();
    assert.equal(await server.reason(half.id), "transport close");
  });
});

describe("the limit", () => {
  test("is inclusive", async () => {
    const ws = await Ws.connect(server);
    ws.send(fill(limit));
    assert.equal((await ws.next()).length, limit + "-back".length);
    ws.abort();
  });

  test("closes with 1009 one byte above", async () => {
    const ws = await Ws.connect(server);
    ws.send(fill(limit + 1));
    assert.equal(await ws.closeCode(), 1009);
    assert.equal(await server.reason(ws.id), "transport error");
  });

  test("is enforced when the size is announced, before the body comes", async () => {
    for (const length of [limit + 1, 2 ** 31, 2 ** 40]) {
      const raw = await RawWs.connect(server);
      raw.write(frame({ payload: "", length }));
      assert.equal(await raw.closeCode(), 1009, String(length));
      await raw.readToEnd();
    }
  });

  test("holds for the sum of fragments", async () => {
    const raw = await RawWs.connect(server);
    raw.write(frame({ fin: false, payload: "4".repeat(limit - 10) }));
    raw.write(frame({ fin: false, opcode: 0, payload: "4".repeat(11) }));
    assert.equal(await raw.closeCode(), 1009);
  });
});

describe("violations", () => {
  const violations = [
    ["an unmasked frame", [{ payload: echo("x"), mask: false }], 1002],
    ["RSV1 without an extension", [{ payload: echo("x"), rsv: 4 }], 1002],
    ["RSV2", [{ payload: echo("x"), rsv: 2 }], 1002],
    ["RSV3", [{ payload: echo("x"), rsv: 1 }], 1002],
    ["a reserved data opcode", [{ opcode: 3, payload: "x" }], 1002],
    ["a reserved control opcode", [{ opcode: 11, payload: "x" }], 1002],
    ["a ping over 125 bytes", [{ opcode: 9, payload: "x".repeat(126) }], 1002],
    ["a close over 125 bytes", [{ opcode: 8, payload: closePayload(1000, "x".repeat(124)) }], 1002],
    ["a fragmented ping", [{ opcode: 9, fin: false, payload: "x" }], 1002],
    ["a continuation of nothing", [{ opcode: 0, payload: "x" }], 1002],
    ["a new message inside a fragmented one", [{ fin: false, payload: "42" }, { payload: "x" }], 1002],
    ["a close with one byte", [{ opcode: 8, payload: "x" }], 1002],
    ["a close with code 999", [{ opcode: 8, payload: closePayload(999) }], 1002],
    ["a close with code 1005", [{ opcode: 8, payload: closePayload(1005) }], 1002],
    ["a close with code 1006", [{ opcode: 8, payload: closePayload(1006) }], 1002],
    ["a close with code 2000", [{ opcode: 8, payload: closePayload(2000) }], 1002],
    ["a close with code 5000", [{ opcode: 8, payload: closePayload(5000) }], 1002],
    ["a length with its top bit set", [{ payload: "", length: Number(2n ** 63n) }], undefined],
    ["text that is no UTF-8", [{ payload: Buffer.from([0x34, 0x32, 0xff]) }], 1007],
    ["text that ends inside a character", [{ payload: Buffer.from([0x34, 0xf0, 0x9f, 0x98]) }], 1007],
    ["an encoded surrogate", [{ payload: Buffer.from([0x34, 0xed, 0xa0, 0x80]) }], 1007],
    ["an overlong encoding", [{ payload: Buffer.from([0x34, 0xc0, 0xaf]) }], 1007],
    ["a close whose reason is no UTF-8", [{ opcode: 8, payload: Buffer.concat([closePayload(1000), Buffer.from([0xff])]) }], 1007],
  ];
  for (const [name, frames, code] of violations) {
    test(`${name} closes with ${code ?? "an error"}`, async () => {
      const raw = await RawWs.connect(server);
      for (const wrong of frames) raw.write(frame(wrong));
      const got = await raw.closeCode();
      if (code === undefined) assert.ok([1002, 1009].includes(got), String(got));
      else assert.equal(got, code);
      await raw.readToEnd();
      assert.equal(await server.reason(raw.id), "transport error");
    });
  }
});

describe("packets", () => {
  for (const [name, payload] of [["an empty text", ""], ["an unknown type", "9"], ["a letter", "x"]]) {
    test(`${name} is a parse error`, async () => {
      const ws = await Ws.connect(server);
      ws.send(payload);
      assert.equal(await ws.closeCode(), 1005);
      assert.equal(await server.reason(ws.id), "parse error");
    });
  }

  test("open, upgrade and noop from a client are ignored", async () => {
    const ws = await Ws.connect(server);
    for (const packet of ["0", '0{"sid":"x"}', "5", "6"]) ws.send(packet);
    ws.send(echo("alive"));
    assert.equal(await ws.next(), echoed("alive"));
    ws.abort();
  });

  test("a close packet ends the session", ours("ignores it"), async () => {
    const ws = await Ws.connect(server);
    ws.send("1");
    assert.equal(await ws.closeCode(), 1005);
    assert.equal(await server.reason(ws.id), "transport close");
  });

  test("base64 text is binary data", async () => {
    const ws = await Ws.connect(server);
    ws.send('451-["message",{"_placeholder":true,"num":0}]');
    ws.send("bAQIDBA==");
    assert.equal(await ws.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await ws.next(), Buffer.from([1, 2, 3, 4]));
    ws.abort();
  });

  test("with b64 the server sends base64 text", async () => {
    const ws = await Ws.connect(server, { path: wsPath({ b64: "1" }) });
    ws.send('451-["message",{"_placeholder":true,"num":0}]');
    ws.send(Buffer.from([1, 2, 3, 4]));
    assert.equal(await ws.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.equal(await ws.next(), "bAQIDBA==");
    ws.abort();
  });

  test("a close by the server is an empty close frame without a packet", async () => {
    const ws = await Ws.connect(server);
    ws.send('42["drop-transport"]');
    assert.equal(await ws.closeCode(), 1005);
    assert.equal(ws.inbox.items.length, 0);
    assert.equal(await server.reason(ws.id), "forced close");
  });

  test("a close by the server comes behind what was queued", async () => {
    const ws = await Ws.connect(server);
    ws.send('42["burst",1000]');
    ws.send('42["disconnect-me",true]');
    for (let index = 0; index < 1000; index += 1) assert.equal(await ws.next(), `42["item",${index}]`);
    assert.equal(await ws.next(), "41");
    assert.equal(await ws.closeCode(), 1005);
  });
});
