// The load tester against Socket.IO on Node.js: a server that is right, and one whose faults are counted.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";

const scenarios = fileURLToPath(new URL("../../loadtest/scenarios/", import.meta.url));

/** A server on a free port, with the events that `scenarios/node-chat.toml` names, and `echo`. */
async function serve(t, { options, publish }) {
  const server = http.createServer();
  const io = new Server(server, options);
  io.on("connection", (socket) => {
    socket.on("subscribe", ({ channel }) => socket.join(channel));
    socket.on("say", ({ channel, text }) => publish(io, channel, text));
    socket.on("echo", (...args) => args.pop()(...args));
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
