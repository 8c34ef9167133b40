// Two nodes of ours and one of the original over one Redis: what the death of either, or of Redis, does to the others.

import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { until } from "../lib/wait.mjs";
import { Member } from "./lib/crowd.mjs";
import { ClusterNode, haveOurs } from "./lib/node.mjs";
import { startRedis } from "./lib/redis.mjs";
import { steps } from "./lib/steps.mjs";
import { numbered, trouble } from "./lib/traffic.mjs";

const DEATH_WINDOW = 1_500;
const BEAT = 400;
/** How often ours count the others. */
const COUNTING = 1_000;
const SLACK = 1_000;
const only = process.env.CLUSTER_FAULTS?.split(",");

for (const mode of ["pubsub", "sharded-dynamic"]) {
  const title = `two of ours and one of the original, redis ${mode}`;
  if (!only || only.some((part) => title.includes(part))) {
    describe(title, { skip: !haveOurs && "CLUSTER_NODE is not set" }, () => faults(mode));
  }
}

function faults(mode) {
  let broker;
  let nodes = [];
  let crowd;
  const { first, step } = steps();
  const starting = (kind) =>
    ClusterNode.start(kind, { adapter: "redis", mode, url: broker.url, prefix: "mixed", ...(kind === "ours" && { heartbeatInterval: BEAT, heartbeatTimeout: DEATH_WINDOW }) });
  const populate = (node, index) =>
    Promise.all([Member.join(`${index}-websocket`, node, { rooms: ["all"] }), Member.join(`${index}-polling`, node, { transport: "polling", rooms: ["all"] })]);

  /** Every node finds all clients, and all servers answer it. */
  async function whole() {
    let last;
    const complete = async (node) => {
      last = [node.name, await node.call("fetch"), await node.call("server-ask", { event: "note", args: [] })];
      const [, found, asked] = last;
      return found.sockets?.length === crowd.length && found.missing.length === 0 && asked.complete && asked.replies.length === nodes.length - 1;
    };
    const started = performance.now();
    await Promise.all(nodes.map((node) => until(() => complete(node), () => `whole cluster; last ${JSON.stringify(last)?.slice(0, 600)}`, 15_000)));
    return Math.round(performance.now() - started);
  }

  async function replace(index) {
    crowd.slice(2 * index, 2 * index + 2).forEach((member) => member.leave());
    nodes[index] = await starting(nodes[index].kind);
    crowd.splice(2 * index, 2, ...(await populate(nodes[index], index)));
    return whole();
  }

  first("find each other", async () => {
    broker = await startRedis();
    nodes = await Promise.all(["ours", "ours", "node"].map(starting));
    crowd = (await Promise.all(nodes.map(populate))).flat();
    await whole();
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.kill()));
    await broker?.end();
  });

  step("under traffic alone nothing is lost", async (t) => {
    const { total } = await numbered(t, nodes, crowd, () => {});
    assert.equal(total, 0);
  });

  step("one of the original hangs, and is killed", async (t) => {
    const [asking, , dying] = nodes;
    dying.signal("SIGSTOP");
    const started = performance.now();
    const partial = await asking.call("fetch", { flags: { timeout: 500 } });
    const gaveUp = Math.round(performance.now() - started);
    // It has no name, but it is counted.
    assert.deepEqual([partial.sockets.length, partial.missing], [4, ["?"]]);
    assert.ok(gaveUp < 500 + SLACK, `gave up after ${gaveUp} ms`);
    const pending = [asking.call("fetch", { flags: { timeout: 15_000 } }), asking.call("ask", { to: ["all"], event: "question", args: [], flags: { timeout: 15_000 } })];
    // One node does one command after the other: these are on their way.
    await asking.do("nodes");
    const killed = performance.now();
    dying.signal("SIGKILL");
    const [fetched, asked] = await Promise.all(pending);
    const writtenOff = Math.round(performance.now() - killed);
    assert.deepEqual([fetched.sockets.length, fetched.missing, asked.replies.length, asked.missing], [4, ["?"], 4, ["?"]]);
    assert.ok(writtenOff < COUNTING + SLACK, `written off after ${writtenOff} ms`);
    const full = await asking.do("fetch");
    assert.deepEqual([full.sockets.length, full.missing], [4, []]);
    t.diagnostic(`partial answer that counts it after the timeout of 500 ms: ${gaveUp} ms; pending requests end ${writtenOff} ms after its death; a new one is there after ${await replace(2)} ms`);
  });

  step("one of ours is killed", async (t) => {
    const [asking, dying, original] = nodes;
    const killed = performance.now();
    const since = () => Math.round(performance.now() - killed);
    dying.signal("SIGKILL");
    const partial = await asking.call("fetch", { flags: { timeout: 5_000 } });
    const named = since();
    assert.deepEqual([partial.sockets.length, partial.missing], [4, [dying.name]]);
    assert.ok(named < DEATH_WINDOW + BEAT + SLACK, `answer after ${named} ms`);
    const found = await original.do("fetch");
    assert.equal(found.sockets.length, 4);
    const told = await original.do("server-ask", { event: "note", args: [] });
    assert.deepEqual([told.complete, told.replies.length], [true, 1]);
    t.diagnostic(`ours: partial answer that names it after ${named} ms; the original's requests are whole after ${since()} ms; a new one is there after ${await replace(1)} ms`);
  });

  step("Redis restarts under traffic", async (t) => {
    const ours = nodes.filter(({ kind }) => kind === "ours");
    await numbered(t, nodes, crowd, async () => {
      await broker.restart();
      await until(async () => (await Promise.all(ours.map((node) => node.do("status")))).every(({ up }) => up), () => trouble(ours), 30_000);
    });
    await whole();
  });
}
