// What clients of Engine.IO revision 3 (Socket.IO 1 and 2) rely on.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Polling, json, request } from "../lib/http.mjs";
import { ours, startServer } from "../lib/server.mjs";
import { Ws } from "../lib/ws.mjs";

const server = await startServer({ allowEio3: true });
const packet = (text) => `${text.length}:${text}`;
const v3 = { EIO: "3" };

/** A polling session of revision 3 behind its first two packets; the id of its socket is the session's. */
async function open(query = {}) {
  const session = await Polling.open(server, { ...v3, ...query });
  assert.equal(await session.next(), "40");
  assert.equal(await session.next(), '42["auth",{}]');
  return session;
}

async function openWs(query = {}) {
  const ws = new Ws(server, { query: { ...v3, ...query } });
  ws.sid = JSON.parse((await ws.next()).slice(1)).sid;
  assert.equal(await ws.next(), "40");
  assert.equal(await ws.next(), '42["auth",{}]');
  return ws;
}

describe("connecting", () => {
  test("anything but EIO=4 means revision 3", async () => {
    for (const query of ["transport=polling", "EIO=2&transport=polling", "EIO=&transport=polling", "EIO=x&transport=polling"]) {
      assert.match((await request(server, { path: `/socket.io/?${query}` })).text, /^\d+:0\{"sid":/);
    }
  });

  test("the server joins the client to / by itself, under the session's id", async () => {
    const session = await open();
    await session.post(packet('420["state"]'));
    const [state] = JSON.parse((await session.next()).slice(3));
    assert.equal(state.id, session.sid);
    assert.deepEqual([state.nsp, state.auth], ["/", {}]);
  });

  test("a namespace takes its query along, which becomes the credentials", async () => {
    const session = await open();
    await session.post(packet("40/token?token=secret&b=%C3%BC,"));
    assert.equal(await session.next(), "40/token,");
    assert.equal(await session.next(), '42/token,["auth",{"token":"secret","b":"ü"}]');
    await session.post(packet('42/token,1["state"]'));
    const [state] = JSON.parse((await session.next()).slice("43/token,1".length));
    assert.equal(state.id, `/token#${session.sid}`);
  });

  test("a refusal carries the data, or the message as a string", async () => {
    const session = await open();
    await session.post(packet("40/deny,"));
    assert.equal(await session.next(), '44/deny,{"code":1,"why":["because"]}');
    await session.post(packet("40/unknown,"));
    assert.equal(await session.next(), '44/unknown,{"message":"Invalid namespace"}');
    await session.post(packet("40/token,"));
    assert.equal(await session.next(), '44/token,{"missing":"token"}');
  });

  test("over WebSocket likewise", async () => {
    const ws = await openWs();
    ws.send("40/custom");
    assert.equal(await ws.next(), "40/custom,");
    assert.equal(await ws.next(), '42/custom,["auth",{}]');
    ws.abort();
  });
});

describe("payloads of text", () => {
  test("give the length in UTF-16 code units", async () => {
    const session = await open();
    await session.post(packet('42["message","é€😀"]') + packet('42["message","x"]'));
    const response = await session.get();
    assert.equal(response.text, packet('42["message-back","é€😀"]') + packet('42["message-back","x"]'));
    assert.equal(response.headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal((await session.post(packet("2"))).text, "ok");
  });

  test("skip packets of no length", async () => {
    const session = await open();
    await session.post(`0:${packet('42["message",1]')}0:`);
    assert.equal(await session.next(), '42["message-back",1]');
  });

  const broken = {
    "an empty body": "",
    "no number": "x:4",
    "no number before the colon": ":4",
    "a length beyond the end": "9:42[]",
    "a negative length": "-1:4",
    "a fraction": "1.5:42",
    "digits without a colon": '15:42["message",1]12',
    "an unknown type": "1:9",
  };
  for (const [name, body] of Object.entries(broken)) {
    test(`${name}: parse error`, async () => {
      const session = await open();
      assert.equal((await session.post(body)).text, "ok");
      assert.equal(await server.reason(session.sid), "parse error");
      assert.equal(json(await session.get()).code, 1);
    });
  }
});

describe("payloads of bytes", () => {
  const event = (text) => Buffer.concat([Buffer.from([0, ...String(Buffer.byteLength(text)).split("").map(Number), 255]), Buffer.from(text)]);
  const binary = (...bytes) => Buffer.from([1, ...String(bytes.length + 1).split("").map(Number), 255, 4, ...bytes]);
  const octets = { "content-type": "application/octet-stream" };

  test("are the answer when the batch has a binary packet", async () => {
    const session = await open();
    await session.post(`${packet('451-["message",{"_placeholder":true,"num":0}]')}${packet("b4AQIDBA==")}`);
    const response = await session.get();
    assert.equal(response.headers["content-type"], "application/octet-stream");
    assert.deepEqual(response.bytes, Buffer.concat([event('451-["message-back",{"_placeholder":true,"num":0}]'), binary(1, 2, 3, 4)]));
  });

  test("are taken, and count UTF-8 bytes", async () => {
    const session = await open();
    await session.post(Buffer.concat([event('42["message","é😀"]'), event('451-["message",{"_placeholder":true,"num":0}]'), binary(0, 255, 30)]), octets);
    const response = await session.get();
    assert.deepEqual(
      response.bytes,
      Buffer.concat([event('42["message-back","é😀"]'), event('451-["message-back",{"_placeholder":true,"num":0}]'), binary(0, 255, 30)]),
    );
  });

  test("give way to base64 where the client asks for it", async () => {
    const session = await open({ b64: "1" });
    await session.post(`${packet('451-["message",{"_placeholder":true,"num":0}]')}${packet("b4AQIDBA==")}`);
    const response = await session.get();
    assert.equal(response.headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal(response.text, packet('451-["message-back",{"_placeholder":true,"num":0}]') + packet("b4AQIDBA=="));
  });

  const lenient = ours("takes what is there");
  const broken = [
    ["a length beyond the end", [0, 9, 255, 52], lenient],
    ["no end of the length", [0, 1, 1, 1], {}],
    ["an unknown type of a binary packet", [1, 1, 255, 9], lenient],
    ["a length of 400 digits", [0, ...Array(400).fill(1), 255, 52], {}],
  ];
  for (const [name, bytes, options] of broken) {
    test(`${name}: the session ends`, options, async () => {
      const session = await open();
      await session.post(Buffer.from(bytes), octets);
      assert.match(await server.reason(session.sid), /^(parse error|forced close|transport error)$/);
    });
  }
});

describe("WebSocket", () => {
  test("puts the type before binary data as a number", async () => {
    const ws = await openWs();
    ws.send('451-["message",{"_placeholder":true,"num":0}]');
    ws.send(Buffer.from([4, 1, 2, 3]));
    assert.equal(await ws.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await ws.next(), Buffer.from([4, 1, 2, 3]));
    ws.abort();
  });

  test("sends base64 text where the client asks for it", async () => {
    const ws = await openWs({ b64: "1" });
    ws.send('451-["message",{"_placeholder":true,"num":0}]');
    ws.send("b4AQID");
    assert.equal(await ws.next(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.equal(await ws.next(), "b4AQID");
    ws.abort();
  });
});

test("JSONP carries revision 3 too", async () => {
  const path = "/socket.io/?EIO=3&transport=polling&j=3";
  const unwrap = (text) => JSON.parse(/^___eio\[3\]\((.*)\);$/s.exec(text)[1]);
  const { sid } = JSON.parse(unwrap((await request(server, { path })).text).replace(/^\d+:0/, ""));
  const own = { path: `${path}&sid=${sid}` };
  assert.equal(unwrap((await request(server, own)).text), packet("40") + packet('42["auth",{}]'));
  const body = `d=${encodeURIComponent(packet('42["message","ü"]'))}`;
  await request(server, { ...own, method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body });
  assert.equal(unwrap((await request(server, own)).text), packet('42["message-back","ü"]'));
});

describe("close", () => {
  test("by the server waits for the next GET", async () => {
    const session = await open();
    await session.post(packet('42["drop-transport"]'));
    assert.equal((await session.get()).text, "1:61:1");
  });

  test("by the server answers the waiting GET", async () => {
    const session = await open();
    const get = await session.pendingGet();
    await session.post(packet('42["drop-transport"]'));
    assert.equal((await get.response).text, "1:1");
  });

  test("by the client", async () => {
    const session = await open();
    const get = await session.pendingGet();
    await session.post(packet("1"));
    assert.equal((await get.response).text, "1:6");
    assert.equal(await server.reason(session.sid), "transport close");
  });

  test("by leaving the root namespace", async () => {
    const session = await open();
    await session.post(packet("41"));
    assert.equal(await server.reason(session.sid), "client namespace disconnect");
  });
});
