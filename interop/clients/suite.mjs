// What every official JavaScript client must find on a node, in each way it can be carried.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask, collect, event, modes, transport } from "../lib/clients.mjs";
import { startServer } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const everyJsonType = [
  null, true, false, 0, -1, 42, 2 ** 53 - 1, -(2 ** 53 - 1), 1.5, -2.5e-7, "", "text", 'quo"te \\ / \b\f\n\r\t \u0000 \u2028 \u2029',
  [], {}, [[]], [null, [1, [2, [3]]]], { a: 1, b: { c: [true, { d: null }] }, "": "empty key", "with space": 1, _placeholder: false },
];
const beyondBmp = "😀 𝒳 \u{10FFFF} 한글 é e\u0301 👩‍👩‍👧‍👦";
let rooms = 0;
const newRoom = () => `room ${(rooms += 1)} 🏠`;

/** @param {import("../lib/clients.mjs").Generation} client */
export async function clientSuite(client, serverOptions = {}) {
  const limit = 1_000_000;
  const server = await startServer({ allowEio3: client.old, ...serverOptions });

  for (const mode of modes) {
    describe(`${client.name}, ${mode}`, () => {
      const connect = (t, nsp = "/", options) => client.connect(t, server, nsp, mode, options);

      test("connects and is carried as asked", async (t) => {
        const socket = await connect(t);
        assert.equal(transport(socket), mode === "polling" ? "polling" : "websocket");
        const [state] = await ask(socket, "state");
        assert.equal(state.id, socket.id);
        assert.equal(state.nsp, "/");
        assert.equal(state.recovered, false);
        assert.deepEqual(state.rooms, [socket.id]);
        assert.equal(state.query.EIO, client.old ? "3" : "4");
        assert.equal(state.transport, transport(socket));
        // Engine.IO's session id is a secret; revision 3 clients derive the public id from it all the same.
        assert.equal(socket.id === socket.io.engine.id, client.old);
      });

      test("shows its credentials", async (t) => {
        // 1.x encodes what it polls to UTF-8 twice, so that it cannot read such a text from any later server.
        const auth = { token: "secret", name: client.major > 1 ? "ü😀" : "u" };
        if (!client.old) auth.nested = { list: [1, null] };
        const socket = client.socket(t, server, "/token", mode, { auth });
        const [seen] = await event(socket, "auth");
        assert.deepEqual(seen, auth);
      });

      test("is refused with message and data", async (t) => {
        const socket = client.socket(t, server, "/deny", mode);
        const [error] = await event(socket, client.refused);
        if (client.old) {
          assert.deepEqual(error, { code: 1, why: ["because"] });
        } else {
          assert.ok(error instanceof Error);
          assert.equal(error.message, "nope");
          assert.deepEqual(error.data, { code: 1, why: ["because"] });
        }
        assert.equal(socket.connected, false);
      });

      test("is refused for wrong credentials, and admitted with the right ones over the same connection", async (t) => {
        const socket = client.socket(t, server, "/token", mode, { auth: { token: "guess" } });
        const [error] = await event(socket, client.refused);
        assert.deepEqual(client.old ? error : error.data, { missing: "token" });
        const custom = socket.io.socket("/custom");
        if (!custom.connected) await event(custom, "connect");
        assert.deepEqual(await ask(custom, "message-with-ack", "still here"), ["still here"]);
      });

      test("is told of an unknown namespace", async (t) => {
        const socket = client.socket(t, server, "/unknown", mode);
        const [error] = await event(socket, client.refused);
        assert.equal(error.message, "Invalid namespace");
      });

      test("joins several namespaces over one connection", async (t) => {
        const root = await connect(t);
        const names = ["/custom", "/dynamic-1", "/dynamic-22"];
        const sockets = names.map((name) => root.io.socket(name));
        await Promise.all(sockets.map((socket) => socket.connected || event(socket, "connect")));
        const states = await Promise.all(sockets.map((socket) => ask(socket, "state")));
        assert.deepEqual(states.map(([state]) => state.nsp), names);
        assert.equal(new Set([root.id, ...states.map(([state]) => state.id)]).size, 4);
        // Leaving one leaves the others alone.
        const [{ id }] = states[0];
        sockets[0].disconnect();
        assert.equal(await server.reason(id, "/custom"), "client namespace disconnect");
        assert.deepEqual(await ask(sockets[1], "message-with-ack", 1), [1]);
        assert.deepEqual(await ask(root, "message-with-ack", 2), [2]);
      });

      test("carries every JSON type both ways", async (t) => {
        const socket = await connect(t);
        const back = event(socket, "message-back");
        socket.emit("message", ...everyJsonType);
        assert.deepEqual(await back, everyJsonType);
        // MessagePack's encoder in the client has no integers above 64 bits.
        const values = client.parser ? everyJsonType : [...everyJsonType, 1e21];
        for (const value of values) assert.deepEqual(await ask(socket, "message-with-ack", value), [value]);
        assert.deepEqual(await ask(socket, "message-with-ack"), []);
      });

      test("carries Unicode beyond the BMP", async (t) => {
        const socket = await connect(t);
        const texts = [beyondBmp, beyondBmp.repeat(500), { [beyondBmp]: [beyondBmp] }];
        const back = event(socket, "message-back");
        socket.emit("message", ...texts);
        assert.deepEqual(await back, texts);
        assert.deepEqual(await ask(socket, "describe", "\u{1F600}"), [["\u{1F600}"]]);
        // As the name of an event and of a room.
        const room = newRoom();
        await ask(socket, "join", room);
        const named = event(socket, "größe 📏");
        socket.emit("in-room", room, "größe 📏", beyondBmp);
        assert.deepEqual(await named, [beyondBmp]);
      });

      test("carries binary nested in objects", async (t) => {
        const socket = await connect(t);
        const bytes = (...values) => Buffer.from(values);
        const big = Buffer.alloc(200_000, 0xa5);
        const tree = [bytes(1, 2, 3), { a: bytes(0), b: [bytes(255, 0), { c: bytes(0x1e, 0x62), d: "b" }], e: null }, "text", bytes()];
        const back = event(socket, "message-back");
        socket.emit("message", ...tree, big);
        assert.deepEqual(await back, [...tree, big]);
        assert.deepEqual(await ask(socket, "message-with-ack", ...tree), tree);
        assert.deepEqual(await ask(socket, "describe", { z: bytes(1), a: bytes(2) }, bytes(3)), [
          [{ z: { bytes: "01" }, a: { bytes: "02" } }, { bytes: "03" }],
        ]);
        // The MessagePack parser of the client knows only Buffer, and 1.x no typed arrays.
        if (client.parser) return;
        const more = client.major > 1 ? new Uint8Array([9]) : bytes(9);
        assert.deepEqual(await ask(socket, "describe", new Uint8Array([7, 8]).buffer, more), [[{ bytes: "0708" }, { bytes: "09" }]]);
      });

      test("keeps many binary events apart", async (t) => {
        const socket = await connect(t);
        const seen = collect(socket, "message-back");
        for (let index = 0; index < 100; index += 1) {
          socket.emit("message", index, Buffer.from([index]), { again: Buffer.from([index, index]) });
          socket.emit("message", index);
        }
        await until(() => seen.length === 200, () => `200 events, got ${seen.length}`);
        for (let index = 0; index < 100; index += 1) {
          assert.deepEqual(seen[2 * index], [index, Buffer.from([index]), { again: Buffer.from([index, index]) }]);
          assert.deepEqual(seen[2 * index + 1], [index]);
        }
      });

      test("acknowledges both ways", async (t) => {
        const socket = await connect(t);
        assert.deepEqual(await ask(socket, "message-with-ack", 1, "2", [3], { four: Buffer.from([4]) }), [1, "2", [3], { four: Buffer.from([4]) }]);
        socket.on("question", (...args) => args.pop()("reply", ...args));
        assert.deepEqual(await ask(socket, "ask", 10_000, 1, Buffer.from([2])), ["answer", "reply", 1, Buffer.from([2])]);
        const many = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(socket, "message-with-ack", index)));
        assert.deepEqual(many, Array.from({ length: 50 }, (_, index) => [index]));
      });

      test("runs into the timeout of an acknowledgement, on either side", async (t) => {
        const socket = await connect(t);
        socket.on("question", () => {});
        assert.deepEqual(await ask(socket, "ask", 50, "anyone?"), ["timeout"]);
        if (client.timeouts) {
          const [error] = await new Promise((resolve) => socket.timeout(50).emit("no-ack", (...answer) => resolve(answer)));
          assert.ok(error instanceof Error);
        }
        assert.deepEqual(await ask(socket, "message-with-ack", "alive"), ["alive"]);
      });

      test("gets volatile events while it keeps up, and loses only those", async (t) => {
        const socket = await connect(t);
        if (mode === "polling") {
          // A poll may be on its way back just when the event is emitted: then it is dropped, by right.
          const seen = collect(socket, "gauge");
          await until(() => {
            socket.emit("volatile", "gauge", 1);
            return seen.length > 0;
          });
        } else {
          const gauge = event(socket, "gauge");
          socket.emit("volatile", "gauge", { level: 1 });
          assert.deepEqual(await gauge, [{ level: 1 }]);
        }
        const flood = collect(socket, "flood");
        const end = event(socket, "flood-end");
        socket.emit("volatile-flood", 200, 1000);
        assert.deepEqual(await end, [200]);
        const order = flood.map(([index]) => index);
        assert.deepEqual(order, [...order].sort((a, b) => a - b));
        assert.equal(new Set(order).size, order.length);
      });

      test("reaches rooms", async (t) => {
        const [a, b, c] = await Promise.all([connect(t), connect(t), connect(t)]);
        const room = newRoom();
        const other = newRoom();
        await Promise.all([ask(a, "join", room), ask(b, "join", room), ask(b, "join", other), ask(c, "join", other)]);
        assert.deepEqual((await ask(a, "fetch", room))[0], [a.id, b.id].sort());
        assert.deepEqual((await ask(b, "state"))[0].rooms, [b.id, room, other].sort());
        const seen = [a, b, c].map((socket) => collect(socket, "news"));
        // Each ack below is behind the broadcast in the receiver's own order.
        const settle = () => Promise.all([a, b, c].map((socket) => ask(socket, "message-with-ack")));

        a.emit("to-room", room, "news", 1, Buffer.from([1]));
        await settle();
        await settle();
        assert.deepEqual(seen, [[], [[1, Buffer.from([1])]], []]);

        a.emit("in-room", [room, other], "news", 2);
        await settle();
        await settle();
        assert.deepEqual(seen.map((list) => list.filter(([n]) => n === 2).length), [1, 1, 1]);

        b.emit("except-room", room, "news", 3, room);
        await settle();
        await settle();
        assert.deepEqual(seen.map((list) => list.filter(([n, tag]) => n === 3 && tag === room).length), [0, 0, 1]);

        await ask(b, "leave", room);
        a.emit("in-room", room, "news", 4);
        await settle();
        await settle();
        assert.deepEqual(seen.map((list) => list.filter(([n]) => n === 4).length), [1, 0, 0]);
        a.emit("in-room", b.id, "news", 5);
        await settle();
        await settle();
        assert.deepEqual(seen.map((list) => list.filter(([n]) => n === 5).length), [0, 1, 0]);
      });

      test("answers a broadcast that asks", async (t) => {
        const [a, b] = await Promise.all([connect(t), connect(t)]);
        const room = newRoom();
        await Promise.all([ask(a, "join", room), ask(b, "join", room)]);
        a.on("vote", (topic, reply) => reply(`a: ${topic}`));
        b.on("vote", (topic, reply) => reply(Buffer.from(topic)));
        const [outcome, answers] = await ask(a, "ask-room", room, 10_000, "vote", "yes");
        assert.equal(outcome, "answers");
        assert.equal(answers.length, 2);
        assert.ok(answers.includes("a: yes"));
        assert.deepEqual(answers.find((answer) => typeof answer !== "string"), Buffer.from("yes"));
        b.off("vote");
        const [late, partial] = await ask(a, "ask-room", room, 100, "vote", "no");
        assert.equal(late, "timeout");
        assert.deepEqual(partial, ["a: no"]);
      });

      test("comes back after the server dropped the transport", async (t) => {
        const socket = await connect(t);
        const id = socket.id;
        const gone = event(socket, "disconnect");
        const back = event(socket, "connect");
        socket.emit("drop-transport");
        assert.equal((await gone)[0], "transport close");
        await back;
        assert.notEqual(socket.id, id);
        assert.equal(await server.reason(id), "forced close");
        assert.deepEqual(await ask(socket, "message-with-ack", "back"), ["back"]);
      });

      test("sees its disconnection with a reason, as the server does", async (t) => {
        const leaver = await connect(t);
        const id = leaver.id;
        const left = event(leaver, "disconnect");
        leaver.disconnect();
        assert.equal((await left)[0], "io client disconnect");
        assert.equal(await server.reason(id), "client namespace disconnect");

        for (const close of [false, true]) {
          const thrown = await connect(t, "/custom");
          const [{ id: thrownId }] = await ask(thrown, "state");
          const out = event(thrown, "disconnect");
          thrown.emit("disconnect-me", close);
          assert.equal((await out)[0], "io server disconnect");
          assert.equal(await server.reason(thrownId, "/custom"), "server namespace disconnect");
          assert.equal(thrown.connected, false);
        }

        const lost = await connect(t);
        const lostId = lost.id;
        lost.io.reconnection(false);
        lost.io.engine.close();
        assert.equal(await server.reason(lostId), "transport close");
      });

      test("joins again after it left", async (t) => {
        const socket = await connect(t, "/custom");
        const [first] = await ask(socket, "state");
        socket.disconnect();
        await server.reason(first.id, "/custom");
        const again = event(socket, "connect");
        socket.connect();
        await again;
        assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
      });

      test("sends and gets 1 MB, and not one byte more", async (t) => {
        const socket = await connect(t);
        const size = (length) => requestSize(client, mode, length);
        // The longest text that fits: by one byte, or by one base64 quantum where the parser is binary and polls.
        let length = Math.floor((limit / size(limit)) * limit) - 200;
        while (size(length + 1) <= limit) length += 1;
        const text = "x".repeat(length);
        // In the acknowledgement the same text comes back: messages of the server have no limit.
        // Alone in its POST: the older clients put all that waits into one, however large.
        const idle = () => until(() => socket.io.engine.writeBuffer.length === 0, () => "everything to be sent");
        await idle();
        socket.emit("note", text);
        await idle();
        const [[noted]] = await ask(socket, "noted");
        assert.equal(noted.length, length);

        socket.io.reconnection(false);
        const id = socket.id;
        const gone = event(socket, "disconnect");
        socket.emit("note", `${text}x`);
        const [reason] = await gone;
        const serverReason = await server.reason(id);
        if (mode === "polling") {
          assert.equal(reason, "transport error");
          assert.equal(serverReason, "transport close");
        } else {
          assert.match(reason, /^transport (close|error)$/);
          assert.equal(serverReason, "transport error");
        }
      });

      test("keeps the order of 500 events sent in one go", async (t) => {
        const socket = await connect(t);
        for (let index = 0; index < 500; index += 1) socket.emit("note", index);
        const [seen] = await ask(socket, "noted");
        assert.deepEqual(seen, Array.from({ length: 500 }, (_, index) => index));
      });

      test("gets a burst of 10 000 events, each once and in order", async (t) => {
        const socket = await connect(t);
        const seen = collect(socket, "item");
        socket.emit("burst", 10_000);
        await until(() => seen.length >= 10_000, () => `10 000 events, got ${seen.length}`, 30_000);
        assert.ok(seen.every(([index], position) => index === position));
      });

      // To the older clients `error` is an event of their own, which they do not send.
      if (!client.old) {
        test("may call an event error", async (t) => {
          const socket = await connect(t);
          const seen = event(socket, "error-seen");
          socket.emit("error", "just a name");
          assert.deepEqual(await seen, ["just a name"]);
        });
      }

      if (mode === "upgrade") {
        test("neither loses nor reorders a packet while it upgrades", async (t) => {
          const socket = client.socket(t, server, "/", mode);
          const seen = collect(socket, "message-back");
          let upgraded = false;
          socket.io.engine.once("upgrade", () => (upgraded = true));
          await event(socket, "connect");
          let sent = 0;
          await until(() => {
            socket.emit("message", sent, sent % 7 === 0 ? Buffer.from([sent & 255]) : "text");
            sent += 1;
            return upgraded;
          });
          for (const last = sent + 50; sent < last; sent += 1) socket.emit("message", sent, "after");
          await until(() => seen.length === sent, () => `${sent} events, got ${seen.length}`);
          assert.deepEqual(seen.map(([index]) => index), Array.from({ length: sent }, (_, index) => index));
        });
      }
    });
  }
}

// Bytes that an event with a text of the given length puts into one POST body or one WebSocket message.
function requestSize(client, mode, length) {
  if (client.parser) {
    const encoded = new client.parser.Encoder().encode({
      type: 2,
      data: ["note", "x".repeat(length)],
      options: { compress: true },
      nsp: "/",
    })[0].length;
    return mode === "polling" ? 1 + 4 * Math.ceil(encoded / 3) : encoded;
  }
  const packet = '42["note",""]'.length + length;
  return mode === "polling" && client.old ? `${packet}:`.length + packet : packet;
}
