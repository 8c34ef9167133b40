// The load tester against Socket.IO on Node.js: a server that is right, and one whose faults are counted.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";
import { startRedis } from "../cluster/lib/redis.mjs";

const scenarios = fileURLToPath(new URL("../../loadtest/scenarios/", import.meta.url));

/** A server on a free port, with the events of `scenarios/node-chat.toml` and `tutorial-chat.toml`, and those of our stock node. */
async function serve(t, { options, publish = toAll }) {
  const server = http.createServer();
  const io = new Server(server, options);
  io.on("connection", (socket) => {
    socket.on("subscribe", ({ channel }) => socket.join(channel));
    socket.on("say", ({ channel, text }) => publish(io, channel, text));
    socket.on("chat message", (message) => io.emit("chat message", message));
    socket.on("echo", (...args) => args.pop()(...args));
    socket.on("join", async (room, done) => {
      await socket.join(room);
      done(true);
    });
    socket.on("leave", async (room, done) => {
      await socket.leave(room);
      done(true);
    });
    socket.on("publish", (room, event, ...args) => {
      const done = args.pop();
      io.to(room).emit(event, ...args);
      done(true);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => io.close());
  return `http://127.0.0.1:${server.address().port}`;
}

const toAll = (io, channel, text) => io.to(channel).emit("said", { text });

/** Runs the load tester; its exit code and its result. */
async function run(t, args) {
  const folder = await mkdtemp(path.join(tmpdir(), "loadtest-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, "result.json");
  const all = ["run", ...args, "--json", file, "--quiet", "--warmup=0s", "--duration=2s"];
  const { code, output } = await new Promise((resolve) => {
    execFile(process.env.SOCKETIO_LOADTEST, all, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, output: stdout + stderr }));
  });
  assert.equal(code, 0, output);
  return { ...JSON.parse(await readFile(file)), output };
}

const clean = { lost: 0, lost_unconfirmed: 0, missed: 0, duplicated: 0, reordered: 0 };

test("rooms of somebody else's events, no acknowledgements", async (t) => {
  const url = await serve(t, { publish: toAll });
  const { audit, counters, output } = await run(t, [path.join(scenarios, "node-chat.toml"), "--target", url, "--clients=10"]);
  assert.deepEqual(audit, clean, output);
  assert.deepEqual(counters.errors, {}, output);
  assert.ok(counters.sent >= 98, output);
  assert.equal(counters.delivered, counters.sent * 10, output);
});

test("the chat of the tutorial: nobody joins, everybody hears", async (t) => {
  const url = await serve(t, {});
  const { audit, counters, output } = await run(t, [path.join(scenarios, "tutorial-chat.toml"), "--target", url, "--clients=10"]);
  assert.deepEqual(audit, clean, output);
  assert.deepEqual(counters.errors, {}, output);
  assert.equal(counters.delivered, counters.sent * 10, output);
});

const rooms = ["--clients=20", "--rooms=4", "--rooms-per-client=2", "--rate=80"];
for (const [scenario, ...flags] of [
  ["idle"],
  ["echo", "--rate=80"],
  ["fanout", ...rooms],
  ["fanout", ...rooms, "--binary", "--size=3000"],
  ["churn", ...rooms, "--churn-rate=40"],
  ["storm", ...rooms, "--storm-every=700ms"],
  ["slow", ...rooms, "--slow-share=0.2"],
  ["mix", ...rooms],
]) {
  test([scenario, ...flags].join(" "), async (t) => {
    const url = await serve(t, { options: { pingInterval: 500 } });
    const { audit, counters, output } = await run(t, [scenario, "--target", url, ...flags]);
    assert.deepEqual({ ...audit, missed: 0 }, clean, output);
    const moving = ["churn", "storm"].includes(scenario);
    assert.equal(counters.churned > 10, moving, output);
    if (!moving) assert.deepEqual(counters.errors, {}, output);
  });
}

for (const mode of ["pubsub", "sharded"]) {
  test(`the emitter towards two servers over Redis, ${mode}`, async (t) => {
    const redis = await startRedis();
    const urls = [];
    for (let index = 0; index < 2; index++) {
      const publisher = createClient({ url: redis.url });
      const subscriber = publisher.duplicate();
      for (const client of [publisher, subscriber]) client.on("error", () => {});
      await Promise.all([publisher.connect(), subscriber.connect()]);
      t.after(() => [publisher, subscriber].forEach((client) => client.destroy()));
      const adapter = mode === "pubsub" ? createAdapter(publisher, subscriber) : createShardedAdapter(publisher, subscriber);
      urls.push(await serve(t, { options: { adapter } }));
    }
    const targets = urls.flatMap((url) => ["--target", url]);
    const { audit, counters, output } = await run(t, ["emit", ...targets, ...rooms, "--broker", redis.url, "--broker-mode", mode]);
    assert.deepEqual(audit, clean, output);
    assert.deepEqual(counters.errors, {}, output);
    // Ten clients are in each room.
    assert.equal(counters.delivered, counters.sent * 10, output);
  });
}

for (const transports of ["websocket", "polling", "upgrade"]) {
  test(`acknowledgements over ${transports}, with bytes`, async (t) => {
    const url = await serve(t, { publish: toAll });
    const { audit, counters, latency, output } = await run(t, ["echo", "--target", url, "--clients=6", "--rate=60", "--binary", "--transports", transports]);
    assert.deepEqual(audit, clean, output);
    assert.equal(counters.acked, counters.sent, output);
    assert.equal(latency.upgrade?.count ?? 0, transports === "upgrade" ? 6 : 0, output);
  });
}

test("the MessagePack parser", async (t) => {
  const url = await serve(t, { options: { parser: msgpack }, publish: toAll });
  const { audit, counters, output } = await run(t, ["echo", "--target", url, "--clients=4", "--rate=60", "--parser=msgpack", "--binary"]);
  assert.deepEqual(audit, clean, output);
  assert.equal(counters.acked, counters.sent, output);
});

test("a server that loses, repeats and swaps is found out, to the last message", async (t) => {
  const did = { lost: 0, duplicated: 0, reordered: 0 };
  let number = 0;
  let kept;
  const url = await serve(t, {
    publish(io, channel, text) {
      number += 1;
      const size = io.sockets.adapter.rooms.get(channel).size;
      if (kept) {
        // This one first, then the one of before.
        toAll(io, channel, text);
        toAll(io, channel, kept);
        kept = undefined;
        did.reordered += size;
      } else if (number % 10 === 3) {
        did.lost += size;
      } else if (number % 10 === 5) {
        toAll(io, channel, text);
        toAll(io, channel, text);
        did.duplicated += size;
      } else if (number % 10 === 7) {
        kept = text;
      } else {
        toAll(io, channel, text);
      }
    },
  });
  const { audit, counters, output } = await run(t, [path.join(scenarios, "node-chat.toml"), "--target", url, "--clients=8", "--drain=1s"]);
  // One that is kept when the last has come is lost too.
  if (kept) did.lost += 8;
  assert.deepEqual(audit, { ...clean, ...did }, output);
  assert.ok(did.lost > 8 && did.duplicated > 8 && did.reordered > 8 && counters.sent === number, output);
});
