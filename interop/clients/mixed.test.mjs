// All generations and transports in one room: one broadcast, encoded once, reaches each of them as it must.

import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import io1 from "socket.io-client-1";
import io2 from "socket.io-client-2";
import io3 from "socket.io-client-3";
import { Generation, ask, collect, modes } from "../lib/clients.mjs";
import { startServer } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const generations = [
  new Generation({ name: "4", io, major: 4 }),
  new Generation({ name: "3", io: io3, major: 3 }),
  new Generation({ name: "2", io: io2, major: 2 }),
  new Generation({ name: "1", io: io1, major: 1 }),
];

test("a room of all generations over all transports hears the same", async (t) => {
  const server = await startServer({ allowEio3: true });
  const crowd = await Promise.all(generations.flatMap((client) => modes.map((mode) => client.connect(t, server, "/", mode))));
  await Promise.all(crowd.map((socket) => ask(socket, "join", "all")));
  const heard = crowd.map((socket) => collect(socket, "news"));
  const messages = [];
  for (const [index, socket] of crowd.entries()) {
    // 1.x reads only ASCII over polling.
    const message = [index, "text", { bytes: Buffer.from([index, 255]), list: [Buffer.alloc(3000, index), null] }];
    messages.push(message);
    socket.emit("in-room", "all", "news", ...message);
    await until(() => heard.every((list) => list.length === messages.length), () => `message ${index}, heard ${heard.map((list) => list.length)}`);
  }
  for (const list of heard) assert.deepEqual(list, messages);
});

test("so does a room whose members have just begun to upgrade", async (t) => {
  const server = await startServer({ allowEio3: true });
  const speaker = await generations[0].connect(t, server, "/", "websocket");
  const crowd = generations.map((client) => client.socket(t, server, "/", "upgrade"));
  const heard = crowd.map((socket) => collect(socket, "news"));
  await Promise.all(crowd.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
  await Promise.all(crowd.map((socket) => ask(socket, "join", "upgrading")));
  for (let index = 0; index < 300; index += 1) {
    speaker.emit("in-room", "upgrading", "news", index, index % 3 ? "text" : Buffer.from([index & 255]));
    if (index % 20 === 0) await ask(speaker, "message-with-ack");
  }
  await until(() => heard.every((list) => list.length === 300), () => `300 messages, heard ${heard.map((list) => list.length)}`);
  for (const list of heard) assert.deepEqual(list.map(([index]) => index), Array.from({ length: 300 }, (_, index) => index));
});
