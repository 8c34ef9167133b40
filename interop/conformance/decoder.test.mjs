// Socket.IO's packet grammar: what is taken, and what closes the connection with which reason.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Polling, SEPARATOR } from "../lib/http.mjs";
import { ours, startServer } from "../lib/server.mjs";
import { Ws } from "../lib/ws.mjs";

const server = await startServer();
const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;
const bytes = Buffer.from([1]);

describe("closes the connection, forced close", () => {
  const violations = {
    "an unknown type": ["47"],
    "no type": ["4"],
    "a letter as type": ["4x"],
    "DISCONNECT with a payload": ["41{}"],
    "CONNECT with a string": ['40/custom,"x"'],
    "CONNECT with an array": ["40/custom,[1]"],
    "CONNECT with broken JSON": ['40/custom,{"a":'],
    "CONNECT for a joined namespace": ["40"],
    "CONNECT_ERROR from a client": ['44{"message":"x"}'],
    "EVENT with an object": ['42{"a":1}'],
    "EVENT with a string": ['42"message"'],
    "EVENT with an empty array": ["42[]"],
    "EVENT with broken JSON": ['42["message",'],
    "EVENT with something behind the JSON": ['42["message"]x'],
    "EVENT named by an object": ['42[{"toString":"foo"}]'],
    "EVENT named by null": ["42[null]"],
    "EVENT named by an array": ['42[["message"]]'],
    "EVENT named by a boolean": ["42[true]"],
    "EVENT named connect": ['42["connect"]'],
    "EVENT named connect_error": ['42["connect_error",{}]'],
    "EVENT named disconnect": ['42["disconnect","transport close"]'],
    "EVENT named disconnecting": ['42["disconnecting"]'],
    "EVENT named newListener": ['42["newListener"]'],
    "EVENT named removeListener": ['42["removeListener"]'],
    "EVENT with an ack id that is no number": ['42abc["message"]'],
    "EVENT of a namespace not joined": ['42/custom,["message",1]'],
    "EVENT of an unknown namespace": ['42/unknown,["message",1]'],
    "ACK of a namespace not joined": ["43/custom,1[]"],
    "DISCONNECT of a namespace not joined": ["41/custom,"],
    "ACK with an object": ['431{"a":1}'],
    "BINARY_EVENT without the dash": [`451["message",${placeholder(0)}]`],
    "BINARY_EVENT with no number of attachments": [`45-["message",${placeholder(0)}]`],
    "BINARY_EVENT with a fraction of attachments": [`451.5-["message",${placeholder(0)}]`],
    "BINARY_EVENT with a negative number of attachments": [`45-1-["message",${placeholder(0)}]`],
    "BINARY_EVENT with letters for attachments": [`45x-["message",${placeholder(0)}]`],
    "BINARY_EVENT named disconnect": [`451-["disconnect",${placeholder(0)}]`, bytes],
    "binary data out of the blue": [bytes],
    "text between the attachments": [`452-["message",${placeholder(0)},${placeholder(1)}]`, bytes, '42["message",1]'],
    "placeholder number out of range": [`451-["message",${placeholder(1)}]`, bytes],
    "negative placeholder number": [`451-["message",${placeholder(-1)}]`, bytes],
    "placeholder number as a string": [`451-["message",${placeholder('"0"')}]`, bytes],
    "placeholder without a number": ['451-["message",{"_placeholder":true}]', bytes],
    "placeholder number null": [`451-["message",${placeholder("null")}]`, bytes],
  };
  for (const [name, frames] of Object.entries(violations)) {
    test(`${name}, over WebSocket and over polling`, async () => {
      const ws = await Ws.connect(server);
      for (const data of frames) ws.send(data);
      assert.equal(await ws.closeCode(), 1005);
      assert.equal(await server.reason(ws.id), "forced close");

      const session = await Polling.connect(server);
      const get = await session.pendingGet();
      const body = frames.map((data) => (typeof data === "string" ? data : `b${data.toString("base64")}`)).join(SEPARATOR);
      assert.equal((await session.post(body)).text, "ok");
      const { text } = await get.response;
      assert.match(text, /(^|\x1e)1$/);
      assert.equal(await server.reason(session.id), "forced close");
    });
  }

  test("a binary event without attachments", ours("leaves it to the version of the parser"), async () => {
    const ws = await Ws.connect(server);
    ws.send('450-["message",1]');
    assert.equal(await ws.closeCode(), 1005);
    assert.equal(await server.reason(ws.id), "forced close");
  });

  const stricter = {
    "a fraction as placeholder number": [`451-["message",${placeholder(0.5)}]`, bytes],
  };
  for (const [name, frames] of Object.entries(stricter)) {
    test(name, ours("takes it"), async () => {
      const ws = await Ws.connect(server);
      for (const data of frames) ws.send(data);
      assert.equal(await ws.closeCode(), 1005);
      assert.equal(await server.reason(ws.id), "forced close");
    });
  }
});

describe("too many attachments", async () => {
  const few = await startServer({ maxAttachments: 3 });
  const event = (count) => `45${count}-["message",${Array.from({ length: count }, (_, index) => placeholder(index))}]`;

  test("the generous default lets a hundred through", ours("stops at 10"), async () => {
    const ws = await Ws.connect(server);
    ws.send(event(100));
    for (let index = 0; index < 100; index += 1) ws.send(Buffer.from([index]));
    assert.equal(await ws.next(), event(100).replace("message", "message-back"));
    for (let index = 0; index < 100; index += 1) assert.deepEqual(await ws.next(), Buffer.from([index]));
    ws.abort();
  });

  test("an absurd number is refused at once", async () => {
    for (const count of ["100000", "4294967296", "99999999999999999999"]) {
      const ws = await Ws.connect(server);
      ws.send(`45${count}-["message",${placeholder(0)}]`);
      assert.equal(await ws.closeCode(), 1005);
      assert.equal(await server.reason(ws.id), "forced close");
    }
  });

  test("the limit is an option", ours("has it in the parser"), async () => {
    const within = await Ws.connect(few);
    within.send(event(3));
    for (let index = 0; index < 3; index += 1) within.send(bytes);
    assert.equal(await within.next(), event(3).replace("message", "message-back"));
    within.abort();
    const beyond = await Ws.connect(few);
    beyond.send(event(4));
    assert.equal(await beyond.closeCode(), 1005);
    assert.equal(await few.reason(beyond.id), "forced close");
  });
});

describe("is taken", () => {
  const exchanges = [
    ["an event named by a number", ["42[1,2]", '42["message",1]'], ['42["message-back",1]']],
    ["an event with neither name nor payload", ["42", '42["message",1]'], ['42["message-back",1]']],
    ["white space in JSON", ['42 [ "message" , 1 ]'.replace("42 ", "42")], ['42["message-back",1]']],
    ["escapes in the name", ['42["mess\\u0061ge",1]'], ['42["message-back",1]']],
    ["a large ack id", ['429007199254740991["message-with-ack",1]'], ["439007199254740991[1]"]],
    ["an ack id of 0", ['420["message-with-ack",1]'], ["430[1]"]],
    ["an ack nobody waits for", ["4312345[]", '42["message",1]'], ['42["message-back",1]']],
    ["a lone surrogate", ['42["message","\\ud800"]', '42["message",1]'], undefined],
    ["an event nobody listens to", ['42["no such event",1]', '420["no such event"]', '42["message",1]'], ['42["message-back",1]']],
    ["an object that looks a little like a placeholder", ['42["message",{"_placeholder":false,"num":0}]'], ['42["message-back",{"_placeholder":false,"num":0}]']],
  ];
  for (const [name, sent, expected] of exchanges) {
    test(name, async () => {
      const ws = await Ws.connect(server);
      for (const data of sent) ws.send(data);
      if (expected) for (const data of expected) assert.deepEqual(await ws.next(), data);
      else while ((await ws.next()) !== '42["message-back",1]');
      ws.abort();
    });
  }

  test("binary data in acknowledgements", async () => {
    const ws = await Ws.connect(server);
    ws.send(`451-7["message-with-ack",${placeholder(0)}]`);
    ws.send(bytes);
    assert.equal(await ws.next(), `461-7[${placeholder(0)}]`);
    assert.deepEqual(await ws.next(), bytes);
    ws.abort();
  });

  test("binary data in an acknowledgement of the client", async () => {
    const ws = await Ws.connect(server);
    ws.send('423["ask",5000,"q"]');
    const question = await ws.next();
    const [, id] = /^42(\d+)\["question","q"\]$/.exec(question);
    ws.send(`461-${id}[${placeholder(0)}]`);
    ws.send(Buffer.from([1, 2]));
    assert.equal(await ws.next(), `461-3["answer",${placeholder(0)}]`);
    assert.deepEqual(await ws.next(), Buffer.from([1, 2]));
    // The same acknowledgement counts once.
    ws.send(`43${id}["again"]`);
    ws.send('42["message",1]');
    assert.equal(await ws.next(), '42["message-back",1]');
    ws.abort();
  });

  test("attachments placed out of order, numbered depth first on the way back", async () => {
    const ws = await Ws.connect(server);
    ws.send(`452-["message",{"b":${placeholder(1)},"a":[${placeholder(0)}]}]`);
    ws.send(Buffer.from([0]));
    ws.send(Buffer.from([1]));
    assert.equal(await ws.next(), `452-["message-back",{"b":${placeholder(0)},"a":[${placeholder(1)}]}]`);
    assert.deepEqual([await ws.next(), await ws.next()], [Buffer.from([1]), Buffer.from([0])]);
    ws.abort();
  });

  test("acknowledgement ids of the server count from 0 in each namespace", async () => {
    const fresh = await startServer();
    for (const expected of [0, 1]) {
      const ws = await Ws.connect(fresh);
      ws.send('420["ask",5000]');
      assert.equal(await ws.next(), `42${expected}["question"]`);
      ws.abort();
    }
  });

  test("nothing of a socket that has left: late packets are not answered", async () => {
    const ws = await Ws.connect(server);
    ws.send('42["disconnect-me",false]');
    assert.equal(await ws.next(), "41");
    ws.abort();
  });
});

test("partial attachments do not outlive the connection", async () => {
  const first = await Ws.connect(server);
  first.send(`452-["message",${placeholder(0)},${placeholder(1)}]`);
  first.send(bytes);
  first.abort();
  assert.equal(await server.reason(first.id), "transport close");
  await server.settled({ connections: 0, sockets: 0 });
});
