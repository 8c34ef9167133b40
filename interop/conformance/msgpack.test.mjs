// The wire of socket.io-msgpack-parser, byte by byte.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import parser from "socket.io-msgpack-parser";
import { Polling } from "../lib/http.mjs";
import { ours, startServer } from "../lib/server.mjs";
import { Ws } from "../lib/ws.mjs";

const server = await startServer({ parser: "msgpack" });
const encode = (packet) => new parser.Encoder().encode(packet)[0];
function decode(data) {
  let packet;
  const decoder = new parser.Decoder();
  decoder.on("decoded", (decoded) => (packet = decoded));
  decoder.add(data);
  return packet;
}
const hex = (text) => Buffer.from(text.replaceAll(" ", ""), "hex");
// {type: 0, data: undefined, nsp: "/"}
const connect = hex("83 a474797065 00 a464617461 d40000 a36e7370 a12f");

async function open() {
  const ws = await Ws.open(server);
  ws.send(connect);
  const answer = await ws.next();
  ws.id = decode(answer).data.sid;
  assert.deepEqual(decode(await ws.next()).data, ["auth", {}]);
  return ws;
}
const event = (...data) => encode({ type: 2, data, options: { compress: true }, nsp: "/" });
const ask = (id, ...data) => encode({ type: 2, data, options: { compress: true }, id, nsp: "/" });

describe("packets of the server", () => {
  test("CONNECT", async () => {
    const ws = await Ws.open(server);
    ws.send(connect);
    const answer = await ws.next();
    const sid = decode(answer).data.sid;
    assert.match(sid, /^[A-Za-z0-9_-]{20}$/);
    const { type, nsp, data } = decode(answer);
    assert.deepEqual([type, nsp, Object.keys(data).filter((key) => data[key] !== undefined)], [0, "/", ["sid"]]);
    ws.abort();
  });

  test("EVENT with every type MessagePack has", async () => {
    const ws = await open();
    const values = [
      null, true, false, 0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -32, -33, -128, -129, -32_768, -32_769,
      -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53 - 1), 1.5, -0.1, 1.5e-300, "", "x".repeat(31), "x".repeat(32), "x".repeat(256), "x".repeat(70_000), "😀",
      [], Array(16).fill(1), {}, { a: { b: [null] } }, Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`k${index}`, index])),
      Buffer.alloc(0), Buffer.from([1, 2]), Buffer.alloc(300, 7), Buffer.alloc(70_000, 9),
    ];
    ws.send(event("message", ...values));
    const { type, data, nsp } = decode(await ws.next());
    assert.deepEqual([type, nsp], [2, "/"]);
    assert.deepEqual(data, ["message-back", ...values]);
    ws.abort();
  });

  test("ACK, binary inside", async () => {
    const ws = await open();
    ws.send(ask(7, "message-with-ack", Buffer.from([1]), { b: Buffer.from([2]) }));
    const { type, id, data } = decode(await ws.next());
    assert.deepEqual([type, id, data], [3, 7, [Buffer.from([1]), { b: Buffer.from([2]) }]]);
    ws.abort();
  });

  test("CONNECT_ERROR", async () => {
    const ws = await Ws.open(server);
    ws.send(encode({ type: 0, data: undefined, nsp: "/deny" }));
    const refused = decode(await ws.next());
    assert.deepEqual([refused.type, refused.nsp, refused.data], [4, "/deny", { message: "nope", data: { code: 1, why: ["because"] } }]);
    ws.send(encode({ type: 0, data: undefined, nsp: "/unknown" }));
    assert.equal(decode(await ws.next()).data.message, "Invalid namespace");
    ws.abort();
  });

  test("DISCONNECT", async () => {
    const ws = await open();
    ws.send(event("disconnect-me", false));
    const packet = decode(await ws.next());
    assert.deepEqual([packet.type, packet.nsp], [1, "/"]);
    ws.abort();
  });
});

describe("packets of the client", () => {
  test("undefined is absent, a date is a date or its text", async () => {
    const ws = await open();
    ws.send(ask(1, "describe", { a: undefined, b: 1 }, new Date(1_700_000_000_000)));
    const { data } = decode(await ws.next());
    assert.deepEqual(data[0][0].b, 1);
    assert.ok([undefined, null].includes(data[0][0].a));
    ws.abort();
  });

  test("keys in any order, extra keys", async () => {
    const ws = await open();
    // {extra: [1], nsp: "/", data: ["message", 1], type: 2}
    ws.send(hex("84 a5 6578747261 91 01 a3 6e7370 a1 2f a4 64617461 92 a7 6d657373616765 01 a4 74797065 02"));
    assert.deepEqual(decode(await ws.next()).data, ["message-back", 1]);
    ws.abort();
  });

  test("over polling, as base64", async () => {
    const session = await Polling.open(server);
    await session.post(`b${connect.toString("base64")}`);
    const next = async () => decode(Buffer.from((await session.next()).slice(1), "base64"));
    assert.match((await next()).data.sid, /^.{20}$/);
    assert.deepEqual((await next()).data, ["auth", {}]);
    await session.post(`b${event("message", Buffer.from([1]), "ü").toString("base64")}`);
    assert.deepEqual((await next()).data, ["message-back", Buffer.from([1]), "ü"]);
  });
});

describe("close the connection", () => {
  const violations = {
    "type 5": encode({ type: 5, data: ["message"], nsp: "/" }),
    "a negative type": encode({ type: -1, data: ["message"], nsp: "/" }),
    "type as text": encode({ type: "2", data: ["message"], nsp: "/" }),
    "no namespace": encode({ type: 2, data: ["message"] }),
    "a number as namespace": encode({ type: 2, data: ["message"], nsp: 1 }),
    "EVENT without an array": encode({ type: 2, data: "message", nsp: "/" }),
    "ACK without an array": encode({ type: 3, id: 1, data: {}, nsp: "/" }),
    "CONNECT with a number": encode({ type: 0, data: 1, nsp: "/custom" }),
    "DISCONNECT with data": encode({ type: 1, data: [1], nsp: "/" }),
    "an id that is no integer": encode({ type: 2, id: "1", data: ["message"], nsp: "/" }),
    "a fraction as id": encode({ type: 2, id: 1.5, data: ["message"], nsp: "/" }),
  };
  for (const [name, data] of Object.entries(violations)) {
    test(name, async () => {
      const ws = await open();
      ws.send(data);
      assert.equal(await ws.closeCode(), 1005);
      assert.equal(await server.reason(ws.id), "forced close");
    });
  }

  const broken = {
    "nothing": hex(""),
    "no map": hex("93 01 02 03"),
    "a map that ends early": hex("84 a4 74797065 02"),
    "a string beyond the end": hex("81 a4 74797065 db ffffffff 41"),
    "bytes beyond the end": hex("81 a4 74797065 c6 ffffffff 41"),
    "an array of four billion": hex("81 a4 64617461 dd ffffffff 00"),
    "the byte that is never used": hex("c1"),
    "text that is no UTF-8 for a key": hex("81 a2 ffff 01"),
    "something behind the packet": Buffer.concat([event("message", 1), hex("00")]),
    "text instead of bytes": '42["message",1]',
  };
  for (const [name, data] of Object.entries(broken)) {
    test(name, ours("ends with an exception, or takes it"), async () => {
      const ws = await open();
      ws.send(data);
      assert.equal(await ws.closeCode(), 1005);
      assert.equal(await server.reason(ws.id), "forced close");
    });
  }

  test("deep nesting", ours("ends with an exception"), async () => {
    const ws = await open();
    const deep = Buffer.concat([hex("83 a4 74797065 02 a3 6e7370 a1 2f a4 64617461"), Buffer.alloc(100_000, 0x91), hex("c0")]);
    ws.send(deep);
    assert.equal(await ws.closeCode(), 1005);
    assert.equal(await server.reason(ws.id), "forced close");
  });

  test("reserved names", ours("lets them through"), async () => {
    for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
      const ws = await open();
      ws.send(event(name, 1));
      assert.equal(await ws.closeCode(), 1005);
    }
  });
});
