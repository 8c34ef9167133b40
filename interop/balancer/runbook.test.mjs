// Steps of docs/OPERATE.md done to a real cluster: what they name must be what one sees.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { io } from "socket.io-client";
import { end, launch } from "../cluster/lib/process.mjs";
import { ask, event } from "../lib/clients.mjs";
import { until } from "../lib/wait.mjs";
import { Cluster, scrape } from "./lib/cluster.mjs";

const run = promisify(execFile);
const loadtest = process.env.SOCKETIO_LOADTEST ?? path.join(path.dirname(process.env.SOCKETIO_NODE_BIN), "socketio-loadtest");

let cluster;
before(async () => {
  cluster = await Cluster.start("haproxy", "cookie", { flags: ["--max-outbox-bytes", "2MiB"], env: { SOCKETIO_DRAIN_DELAY: "0s" } });
});
after(() => cluster?.end());

/** The process of the cluster whose command line has this text. */
async function processWith(text) {
  const { stdout } = await run("ps", ["-o", "pid=,args=", "--ppid", String(cluster.child.pid)]);
  const line = stdout.split("\n").find((line) => line.includes(text) && !line.includes("sed"));
  assert.ok(line, `${text} in ${stdout}`);
  return Number(line.trim().split(" ")[0]);
}

const node = (index) => scrape(`${cluster.nodeUrl(index)}/metrics`);
const ready = async (index) => (await fetch(`${cluster.nodeUrl(index)}/readyz`)).text();

test("broker loss: nodes say so, go on with their own clients, and find it again", async (t) => {
  const clients = [0, 0, 1].map((index) => io(cluster.nodeUrl(index), { forceNew: true, transports: ["websocket"] }));
  t.after(() => clients.forEach((client) => client.disconnect()));
  await Promise.all(clients.map((client) => event(client, "connect")));
  await Promise.all(clients.map((client) => ask(client, "join", "runbook")));
  const before = await node(0);
  const redis = await processWith("redis-server");

  process.kill(redis, "SIGSTOP");
  t.after(() => process.kill(redis, "SIGCONT"));
  const stopped = performance.now();
  await until(async () => (await ready(0)).includes("adapter redis: down"), () => "down", 15_000);
  const noticed = performance.now() - stopped;
  assert.match(await ready(0), /^ready\n/, "it goes on");
  assert.equal((await node(0)).socketio_adapter_up, 0);
  const heard = event(clients[1], "local");
  clients[0].emit("publish", "runbook", "local", 1);
  await heard;

  process.kill(redis, "SIGCONT");
  const continued = performance.now();
  await until(async () => (await ready(0)).includes("adapter redis: up"), () => "up", 15_000);
  const back = performance.now() - continued;
  const after = await node(0);
  assert.ok(after.socketio_adapter_reconnects_total > before.socketio_adapter_reconnects_total, "reconnects");
  assert.ok(after.socketio_adapter_gaps_total > before.socketio_adapter_gaps_total, "gaps");
  // What is told from now on reaches the other node.
  await until(async () => (await ready(1)).includes("adapter redis: up"), () => "the other one up", 15_000);
  const again = event(clients[2], "again");
  clients[0].emit("publish", "runbook", "again", 1);
  await again;
  t.diagnostic(`noticed after ${(noticed / 1000).toFixed(1)} s, up ${(back / 1000).toFixed(1)} s behind its return`);
});

test("node lost: the others know fewer members, and more when it is back", async (t) => {
  const third = await processWith(`--port ${cluster.nodes[2]}`);
  assert.equal((await node(0)).socketio_cluster_members, 3);
  process.kill(third, "SIGSTOP");
  t.after(() => process.kill(third, "SIGCONT"));
  const stopped = performance.now();
  await until(async () => (await node(0)).socketio_cluster_members === 2, () => "two members", 30_000);
  t.diagnostic(`noticed after ${((performance.now() - stopped) / 1000).toFixed(1)} s`);
  process.kill(third, "SIGCONT");
  await until(async () => (await node(0)).socketio_cluster_members === 3, () => "three members", 30_000);
});

test("slow clients: their bytes wait, then they are closed, and the others lose nothing", async (t) => {
  const args = ["run", "slow", "--target", cluster.nodeUrl(0), "--clients", "40", "--rate", "100", "--size", "16000", "--duration", "15s", "--threshold", "lost==0"];
  const load = launch(loadtest, args);
  t.after(() => end(load, "SIGKILL"));
  let most = 0;
  const overflow = 'socketio_connections_closed_total{reason="outbox overflow"}';
  await until(
    async () => {
      const now = await node(0);
      most = Math.max(most, now.socketio_outbox_bytes);
      return now[overflow] > 0;
    },
    () => `a client that is closed; ${most} bytes waited: ${load.log}`,
    40_000,
  );
  assert.ok(most > 1 << 20, `${most} bytes waited`);
  await until(() => load.exitCode !== null, () => `the end of ${load.log}`, 60_000);
  assert.equal(load.exitCode, 0, load.log);
  t.diagnostic(`${(most / 2 ** 20).toFixed(1)} MiB waited at most`);
});

test("reconnect storm: the rate of new connections is what the alert looks at", async (t) => {
  const args = ["run", "storm", "--target", cluster.url, "--clients", "200", "--rate", "20", "--duration", "15s"];
  const opened = async () => {
    const pages = await cluster.metrics();
    return pages.reduce((sum, page) => sum + page['socketio_connections_opened_total{transport="websocket"}'], 0);
  };
  const before = await opened();
  const load = launch(loadtest, args);
  t.after(() => end(load, "SIGKILL"));
  await until(async () => (await opened()) - before >= 400, async () => `a second time: ${(await opened()) - before}, ${load.log}`, 60_000);
});
