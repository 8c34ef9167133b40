// Three nodes of ours and one broker: what the death of a node, a restart of the broker and a partition do to requests,
// counts and numbered events. The figures are in the output of the tests.

import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { until } from "../lib/wait.mjs";
import { Member } from "./lib/crowd.mjs";
import { ClusterNode, haveOurs } from "./lib/node.mjs";
import { startRabbit } from "./lib/rabbit.mjs";
import { startRedis, startRedisCluster, startRedisSentinel } from "./lib/redis.mjs";
import { steps } from "./lib/steps.mjs";
import { PACE, numbered, trouble } from "./lib/traffic.mjs";

const carriers = [
  { adapter: "redis", mode: "pubsub", start: startRedis },
  { adapter: "redis", mode: "sharded-dynamic", start: startRedis },
  { adapter: "redis", mode: "sharded-dynamic", start: startRedisCluster, place: "Redis Cluster" },
  { adapter: "redis", mode: "pubsub", start: startRedisSentinel, place: "Sentinel" },
  { adapter: "amqp", start: startRabbit },
  { adapter: "amqp", mode: "reliable", start: startRabbit },
];
const only = process.env.CLUSTER_FAULTS?.split(",");

/** After so long without a sign of life a node counts as dead, in milliseconds. */
const DEATH_WINDOW = 1_500;
const BEAT = 400;
/** What a busy machine may add. */
const SLACK = 1_000;
/** Any adapter has noticed by then that its broker says nothing. */
const SILENCE = 15_000;
/** So much is to happen while the broker stands still, in milliseconds. */
const PARTITION = 3_000;

for (const carrier of carriers) {
  const title = [carrier.place ?? carrier.adapter, carrier.mode].filter(Boolean).join(" ");
  if (!only || only.some((part) => title.includes(part))) {
    describe(`three nodes over ${title}`, { skip: !haveOurs && "CLUSTER_NODE is not set" }, () => faults(carrier));
  }
}

function faults({ adapter, mode, start }) {
  let broker;
  let nodes = [];
  /** Two clients at each node. */
  let crowd;
  const starting = () => ClusterNode.start("ours", { adapter, mode, url: broker.url, prefix: "faults", heartbeatInterval: BEAT, heartbeatTimeout: DEATH_WINDOW });
  const names = (list) => list.map(({ name }) => name).sort();

  async function populate(node, index) {
    return Promise.all([
      Member.join(`${index}-websocket`, node, { rooms: ["all", `node-${index}`] }),
      Member.join(`${index}-polling`, node, { transport: "polling", rooms: ["all"] }),
    ]);
  }

  const { first, step } = steps();

  first("find each other", async () => {
    broker = await start();
    nodes = await Promise.all([starting(), starting(), starting()]);
    crowd = (await Promise.all(nodes.map(populate))).flat();
    await whole();
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.kill()));
    await broker?.end();
  });

  /** Every node knows the two others, and finds all clients and counts. */
  async function whole(timeout = 20_000) {
    let last;
    const complete = async (node) => {
      last = [await node.call("nodes"), await node.call("fetch", { flags: { timeout: 2_000 } }), await node.call("count", { to: ["all"] })];
      const [known, found, counted] = last;
      return known.count === nodes.length && found.missing.length === 0 && found.sockets.length === crowd.length && counted.count === crowd.length;
    };
    const started = performance.now();
    await Promise.all(nodes.map((node) => until(() => complete(node), () => `whole cluster at ${node.name}; last ${JSON.stringify(last)?.slice(0, 600)}`, timeout)));
    return Math.round(performance.now() - started);
  }

  const statuses = () => Promise.all(nodes.map((node) => node.do("status")));
  // Rooms with channels of their own cannot be counted, nor what has numbers anyway.
  const exact = adapter === "redis" && mode === "pubsub";
  const underTraffic = (t, act) => numbered(t, nodes, crowd, act, exact);

  step("every operation reaches all three", async (t) => {
    for (const [index, node] of nodes.entries()) {
      const asked = await node.do("ask", { to: ["all"], event: "question", args: [index] });
      assert.deepEqual([asked.complete, asked.replies.map(({ by }) => by).sort()], [true, names(crowd)]);
      const told = await node.do("server-ask", { event: "note", args: [index] });
      assert.deepEqual(told.replies.map(({ from }) => from).sort(), nodes.filter((other) => other !== node).map(({ name }) => name).sort());
      await node.do("join", { to: ["all"], rooms: [`joined-${index}`] });
      await until(async () => (await node.do("count", { to: [`joined-${index}`] })).count === 6, () => "count of joined");
      await node.do("leave", { to: ["node-0"], rooms: [`joined-${index}`] });
      await until(async () => (await node.do("count", { to: [`joined-${index}`] })).count === 5, () => "count of left");
      const { rooms, unknown } = await node.do("rooms");
      assert.deepEqual([rooms.all, rooms[`node-${index}`], unknown], [6, 1, []]);
    }
    assert.ok((await statuses()).every(({ up }) => up));
  });

  step("who is the first in a room, and who the last", async (t) => {
    const room = "presence";
    const counted = (count) => Promise.all(nodes.map((node) => until(async () => (await node.do("count", { to: [room] })).count === count, () => `${count} in the room at ${node.name}`)));
    const told = () => nodes.map((node) => node.entries.filter((entry) => entry.room === room).map(({ event, node: where }) => [event, where]));
    const early = await Member.join("first", nodes[0], { rooms: [room] });
    await counted(1);
    const later = await Member.join("second", nodes[1], { transport: "polling", rooms: [room] });
    await counted(2);
    early.leave();
    await counted(1);
    const gone = performance.now();
    later.leave();
    await until(() => told().every((events) => events.some(([event]) => event === "vacated")), () => `notices ${JSON.stringify(told())}`);
    const expected = [["occupied", nodes[0].name], ["vacated", nodes[1].name]];
    assert.deepEqual(told(), [expected, expected, expected]);
    t.diagnostic(`one notice of the first and one of the last of two on different nodes, at each of three nodes; ${Math.round(performance.now() - gone)} ms after the last one left`);
  });

  step("under traffic alone nothing is lost", async (t) => {
    const { total } = await underTraffic(t, () => {});
    assert.equal(total, 0);
    const trips = (await statuses()).map(({ round_trip: seconds }) => `${(seconds * 1000).toFixed(2)} ms`);
    t.diagnostic(`round trips through the broker ${trips.join(", ")}`);
  });

  step("a node that is killed", async (t) => {
    const [asking, , dying] = nodes;
    const [, , , , ...gone] = crowd;
    const killed = performance.now();
    const since = () => Math.round(performance.now() - killed);
    dying.signal("SIGKILL");
    // Asked at once: who has died is still expected, so the answer is partial and names it.
    const [partial, acks, told] = await Promise.all([
      asking.call("fetch", { flags: { timeout: 5_000 } }),
      asking.call("ask", { to: ["all"], event: "question", args: [], flags: { timeout: 5_000 } }),
      asking.call("server-ask", { event: "note", args: [] }),
    ]);
    const answered = since();
    assert.deepEqual([partial.missing, acks.missing, told.missing], [[dying.name], [dying.name], [dying.name]]);
    assert.deepEqual([partial.sockets.length, acks.replies.length, told.replies.length], [4, 4, 1]);
    assert.ok(answered < DEATH_WINDOW + BEAT + SLACK, `answers after ${answered} ms`);
    // Behind the window nobody speaks of it any more.
    const full = await asking.do("fetch");
    assert.deepEqual([full.sockets.length, full.missing], [4, []]);
    const counted = await asking.do("count", { to: ["all"] });
    const share = since();
    assert.deepEqual([counted.count, (await asking.do("nodes")).count], [4, 2]);
    assert.ok(share < DEATH_WINDOW + BEAT + SLACK, `its share of the counts is there after ${share} ms`);
    const vacated = (node) => node.entry((entry) => entry.event === "vacated" && entry.room === "node-2", "notice that its room is empty");
    for (const node of nodes.slice(0, 2)) assert.equal((await vacated(node)).node, dying.name);
    t.diagnostic(`window ${DEATH_WINDOW} ms: partial answers that name it after ${answered} ms, full ones without it and counts after ${share} ms`);

    gone.forEach((member) => member.leave());
    nodes[2] = await starting();
    crowd = [...crowd.slice(0, 4), ...(await populate(nodes[2], 2))];
    t.diagnostic(`a new node is known to all after ${await whole()} ms`);
  });

  step("a node that stands still and comes back", async (t) => {
    const [asking, , still] = nodes;
    asking.entries.length = 0;
    await underTraffic(t, async () => {
      const stopped = performance.now();
      still.signal("SIGSTOP");
      await asking.entry((entry) => entry.event === "vacated" && entry.node === still.name, "notice that its room is empty");
      const forgotten = Math.round(performance.now() - stopped);
      assert.ok(forgotten < DEATH_WINDOW + BEAT + SLACK, `forgotten after ${forgotten} ms`);
      const { sockets, missing } = await asking.do("fetch");
      assert.deepEqual([sockets.length, missing], [4, []]);
      still.signal("SIGCONT");
      return `forgotten after ${forgotten} ms, the cluster is whole again ${await whole()} ms after its return, `;
    });
  });

  step("a node that says goodbye is forgotten at once", async (t) => {
    const leaving = await starting();
    const guest = await Member.join("guest", leaving, { rooms: ["all"] });
    await until(async () => (await nodes[0].do("count", { to: ["all"] })).count === 7, () => "guest in the count");
    const asked = performance.now();
    await leaving.close();
    await until(async () => (await nodes[0].do("count", { to: ["all"] })).count === 6 && (await nodes[0].do("nodes")).count === 3, () => "guest gone");
    t.diagnostic(`forgotten ${Math.round(performance.now() - asked)} ms after it was asked to close`);
    assert.deepEqual((await nodes[0].do("fetch")).missing, []);
    guest.leave();
  });

  async function outage(t, restart) {
    const { total } = await underTraffic(t, async () => {
      await restart();
      const back = performance.now();
      await until(async () => (await statuses()).every(({ up }) => up), () => trouble(nodes), 30_000);
      const up = Math.round(performance.now() - back);
      return `all adapters up ${up} ms after the broker, `;
    });
    await whole();
    if (mode === "reliable") assert.equal(total, 0);
  }

  step("a broker that restarts under traffic", (t) => outage(t, () => broker.restart()));
  // Redis has no goodbye that would make a difference.
  if (mode === "reliable") step("a broker that is killed under traffic", (t) => outage(t, () => broker.revive()));

  step("a broker that stands still", async (t) => {
    await underTraffic(t, async (ledger, streams) => {
      broker.pause();
      const heads = streams.map((stream, index) => ledger.last(crowd[2 * index], stream));
      // Clients of the own node are served all the while; requests give up and name who is missing.
      const asked = performance.now();
      const partial = await nodes[0].call("fetch", { flags: { timeout: 1_000 } });
      const waited = performance.now() - asked;
      assert.deepEqual([partial.sockets.length, partial.missing], [2, [nodes[1].name, nodes[2].name].sort()]);
      assert.ok(waited < 1_000 + SLACK, `gave up after ${waited} ms`);
      await until(async () => performance.now() - asked > PARTITION && (await statuses()).every(({ up }) => !up), () => "adapters that know", SILENCE);
      const span = Math.round(performance.now() - asked);
      for (const [index, stream] of streams.entries()) {
        for (const member of [crowd[2 * index], crowd[2 * index + 1]]) assert.ok(ledger.last(member, stream) > heads[index] + PARTITION / PACE / 4, "served while the broker stood still");
      }
      broker.resume();
      const back = performance.now();
      await until(async () => (await statuses()).every(({ up }) => up), () => trouble(nodes), 30_000);
      return `stood still for ${span} ms until all adapters knew, all adapters up ${Math.round(performance.now() - back)} ms after its end, `;
    });
    await whole();
  });
}
