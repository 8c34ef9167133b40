// The stock node's own account of an attack: each offence is counted under its name, and every gauge returns to zero.
// SOCKETIO_NODE_BIN names the node's program, as for the browser tests; the official server has no such account.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, describe, test } from "node:test";
import { io } from "socket.io-client";
import { ask, event } from "../lib/clients.mjs";
import { Polling, request } from "../lib/http.mjs";
import { until } from "../lib/wait.mjs";
import { RawWs, Tcp, Ws, frame, upgradeRequest } from "../lib/ws.mjs";

const program = process.env.SOCKETIO_NODE_BIN;

async function startNode(...flags) {
  // The node takes every SOCKETIO_ variable for a setting, and refuses those it does not know.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SOCKETIO_")));
  const child = spawn(program, ["--host", "127.0.0.1", "--port", "0", ...flags], { stdio: ["ignore", "pipe", "pipe"], env });
  after(() => child.kill("SIGKILL"));
  const url = await new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the node ended with ${code}`)));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        const found = /listening.*address=(http:\/\/[^\s/]+)/.exec(line);
        if (found) resolve(found[1]);
      });
    }
  });
  const { host, port } = new URL(url);
  const metrics = async () => {
    const { text } = await request({ port }, { path: "/metrics" });
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]));
  };
  return { child, url, host, port: Number(port), metrics };
}

/** Everything that counts what is there now is back at zero. */
async function empty(node) {
  let left;
  await until(
    async () => {
      left = [...(await node.metrics())].filter(([name, value]) => /^socketio_(connections|sockets|rooms)\{|^socketio_outbox_bytes/.test(name) && value !== 0);
      return left.length === 0;
    },
    () => `nothing to be left, but ${JSON.stringify(left)}`,
    15_000,
  );
}

const offences = {
  'socketio_handshake_errors_total{code="0"}': (node) => request(node, { path: "/socket.io/?EIO=4&transport=x" }),
  'socketio_handshake_errors_total{code="1"}': (node) => request(node, { path: "/socket.io/?EIO=4&transport=polling&sid=x" }),
  'socketio_handshake_errors_total{code="2"}': (node) => request(node, { method: "POST", path: "/socket.io/?EIO=4&transport=polling" }),
  'socketio_handshake_errors_total{code="3"}': (node) => request(node, { path: "/socket.io/?EIO=4&transport=websocket" }),
  'socketio_handshake_errors_total{code="5"}': (node) => request(node, { path: "/socket.io/?EIO=3&transport=polling" }),
  'socketio_websocket_violations_total{close_code="1002"}': async (node) => (await RawWs.open(node)).write(frame({ payload: "40", mask: false })),
  'socketio_websocket_violations_total{close_code="1007"}': async (node) => (await RawWs.open(node)).write(frame({ payload: Buffer.from([0x34, 0xff]) })),
  'socketio_websocket_violations_total{close_code="1009"}': async (node) => (await RawWs.open(node)).write(frame({ payload: "", length: 10_000_000 })),
  'socketio_connections_closed_total{reason="parse error"}': async (node) => (await Polling.open(node)).post("x"),
  'socketio_connections_closed_total{reason="forced close"}': async (node) => (await Ws.open(node)).send('42["too early"]'),
  'socketio_connections_closed_total{reason="transport error"}': async (node) => (await Ws.open(node)).send("2"),
  'socketio_connections_closed_total{reason="transport close"}': async (node) => (await Ws.open(node)).abort(),
};

if (program) {
  describe("the stock node", async () => {
    const node = await startNode();

    for (const [name, offend] of Object.entries(offences)) {
      test(`counts ${name}`, async () => {
        const before = (await node.metrics()).get(name);
        for (let round = 0; round < 5; round += 1) await offend(node);
        await until(async () => (await node.metrics()).get(name) === before + 5, () => `${name} to be ${before + 5}`);
        await empty(node);
      });
    }

    test("returns to zero after clients of all kinds came and went", async () => {
      const visit = async (index) => {
        if (index % 4 === 0) return (await Polling.open(node)).post("1");
        if (index % 4 === 1) {
          const tcp = new Tcp(node);
          tcp.write(upgradeRequest(node));
          await tcp.head();
          return tcp.abort();
        }
        const socket = io(node.url, { forceNew: true, transports: index % 4 === 2 ? ["websocket"] : ["polling"], reconnection: false });
        await event(socket, "connect");
        await ask(socket, "join", `room ${index}`);
        return socket.disconnect();
      };
      for (let round = 0; round < 20; round += 1) await Promise.all(Array.from({ length: 8 }, (_, index) => visit(index)));
      await empty(node);
    });

    test("throws out who reads too slowly, and says so", async () => {
      const tight = await startNode("--max-outbox-bytes", "1000000");
      const slow = await RawWs.open(tight);
      slow.write(frame({ payload: "40" }));
      slow.write(frame({ payload: '421["join","crowd"]' }));
      while (!(await slow.nextFrame()).payload.toString().startsWith("431"));
      assert.ok((await tight.metrics()).get('socketio_rooms{namespace="/"}') > 0);
      slow.socket.pause();
      const speaker = io(tight.url, { forceNew: true, transports: ["websocket"], reconnection: false });
      await event(speaker, "connect");
      const closed = async () => (await tight.metrics()).get('socketio_connections_closed_total{reason="outbox overflow"}') === 1;
      const filler = "x".repeat(100_000);
      for (let sent = 0; !(await closed()); sent += 1) {
        assert.ok(sent < 2000, "200 MB are enough to be called slow");
        await ask(speaker, "publish", "crowd", "filler", filler);
      }
      assert.ok((await tight.metrics()).get('socketio_dropped_total{reason="outbox_full"}') > 0);
      assert.deepEqual(await ask(speaker, "echo", "unharmed"), ["unharmed"]);
      speaker.disconnect();
      slow.abort();
      await empty(tight);
    });

    test("ends in good order on SIGTERM, and its clients come back by themselves", async () => {
      const first = await startNode();
      const socket = io(first.url, { forceNew: true, transports: ["websocket"], reconnectionDelay: 10 });
      await event(socket, "connect");
      const gone = event(socket, "disconnect");
      const exit = once(first.child, "exit");
      first.child.kill("SIGTERM");
      // Not `io server disconnect`, after which a client stays away.
      assert.equal((await gone)[0], "transport close");
      assert.ok(socket.active, "tries to connect again");
      assert.deepEqual(await exit, [0, null]);
      socket.disconnect();
    });
  });
}
