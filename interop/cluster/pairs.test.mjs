// Two nodes and one broker: each operation of the cluster, from either node, over each wire. With CLUSTER_NODE the pairs
// are ours with the original, and ours with ours; the original with itself proves that the suite asks for what is so.

import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { ask } from "../lib/clients.mjs";
import { until } from "../lib/wait.mjs";
import { decode } from "./lib/bytes.mjs";
import { Member, heardOf, onlyHeard } from "./lib/crowd.mjs";
import { ClusterNode, haveOurs } from "./lib/node.mjs";
import { startRabbit } from "./lib/rabbit.mjs";
import { startRedis, startRedisCluster, startRedisSentinel } from "./lib/redis.mjs";
import { steps } from "./lib/steps.mjs";

const REDIS_MODES = ["pubsub", "sharded-static", "sharded-dynamic", "sharded-dynamic-private"];
const only = process.env.CLUSTER_PAIRS?.split(",");

/** Each with the adapter that it takes. */
const places = {
  redis: { adapter: "redis", start: startRedis },
  "Redis Cluster": { adapter: "redis", start: startRedisCluster },
  Sentinel: { adapter: "redis", start: startRedisSentinel },
  amqp: { adapter: "amqp", start: startRabbit },
};
const wires = [
  ...REDIS_MODES.map((mode) => ({ place: "redis", mode })),
  { place: "Redis Cluster", mode: "pubsub" },
  { place: "Redis Cluster", mode: "sharded-dynamic" },
  { place: "Sentinel", mode: "pubsub" },
  { place: "amqp" },
  { place: "amqp", mode: "reliable" },
];
const mixes = [["node", "node"], ...(haveOurs ? [["ours", "node"], ["ours", "ours"]] : [])];
const pairs = wires.flatMap((wire) => mixes.map((kinds) => ({ ...wire, kinds })));

const brokers = new Map();
function broker(place) {
  if (!brokers.has(place)) brokers.set(place, places[place].start());
  return brokers.get(place);
}

for (const pair of pairs) {
  const title = `${pair.kinds.join(" and ")}, ${pair.place}${pair.mode ? ` ${pair.mode}` : ""}`;
  // The original knows no AMQP, and in a Redis Cluster it sends each classic message to any of the servers, in no order.
  const isOurs = pair.place === "amqp" || (pair.place === "Redis Cluster" && pair.mode === "pubsub");
  if (isOurs && pair.kinds.includes("node")) continue;
  if (!only || only.some((part) => title.includes(part))) describe(title, () => operations(pair));
}

function operations({ place, mode, kinds }) {
  const hasChannels = mode?.startsWith("sharded-dynamic");
  const loose = place === "Redis Cluster";
  const nodes = [];
  /** Two clients at each node, of which the first are in `pair`. */
  const crowd = [];
  const by = (name) => crowd.find((member) => member.name === name);
  let custom;

  const { first, step } = steps();

  first("two nodes find each other", async () => {
    const { url, nodeUrl } = await broker(place);
    const { adapter } = places[place];
    // A prefix of this pair's own keeps the others on the same broker out.
    const prefix = `${kinds.join("-")}-${mode ?? adapter}`;
    const start = (kind) => ClusterNode.start(kind, { adapter, url: kind === "node" ? nodeUrl : url, mode, prefix });
    nodes.push(...(await Promise.all(kinds.map(start))));
    const join = (name, node, options) => Member.join(name, node, { data: { owner: name, list: [1, null] }, ...options });
    crowd.push(
      ...(await Promise.all([
        join("a1", nodes[0], { rooms: ["pair", "a"] }),
        join("a2", nodes[0], { transport: "polling", rooms: ["seconds"] }),
        join("b1", nodes[1], { rooms: ["pair", "b"] }),
        join("b2", nodes[1], { transport: "polling", rooms: ["seconds"] }),
      ])),
    );
    custom = await Promise.all(nodes.map((node, index) => Member.join(`custom${index}`, node, { nsp: "/custom", rooms: ["pair"] })));
    await Promise.all(nodes.map((node) => acquainted(node, 4)));
  });

  after(() => Promise.all(nodes.map((node) => node.kill())));

  /** A node knows of all others when it finds what they hold, and when they hear it. */
  async function acquainted(node, sockets) {
    let last;
    const met = async () => {
      last = await node.call("fetch");
      if (last.error !== undefined || last.missing.length > 0 || last.sockets.length !== sockets) return false;
      last = await node.call("server-ask", { event: "note", args: ["hello"] });
      return last.error === undefined && last.complete && last.replies.length === 1;
    };
    await until(met, () => `${node.kind} node to know the other; last ${JSON.stringify(last)}; ${node.stderr.slice(-2_000)}`);
  }

  for (const [from, to] of [[0, 1], [1, 0]]) {
    const arrow = `${kinds[from]} → ${kinds[to]}`;
    const letter = "ab"[to];
    const operation = (name, run) => step(`${arrow}: ${name}`, (t) => run(nodes[from], nodes[to], t));
    /** What is heard of something said to `names`, in the single room of `to` if there is one. */
    const heard = (node, act, { to = [] } = {}, names = []) => heardOf(crowd, node, act, { loose, ...(to.length === 1 && hasChannels && { room: to[0], inside: names.map(by) }) });
    /** That a broadcast is heard by exactly these. */
    const reaches = async (node, parameters, names) => onlyHeard(await heard(node, () => node.do("emit", parameters), parameters, names), names, [parameters.event, ...parameters.args]);
    const everyone = ["a1", "a2", "b1", "b2"];

    operation("an event for all, its arguments as they were", async (node) => {
      const args = [1, -2.5, "é€😀\u2028\"\\", null, true, [], {}, { deep: [{ er: [0] }] }, 2 ** 53, "x".repeat(100)];
      await reaches(node, { event: "all", args }, everyone);
    });
    operation("without arguments", async (node) => {
      await reaches(node, { event: "none", args: [] }, everyone);
    });
    operation("a room", async (node) => {
      await reaches(node, { to: ["pair"], event: "room", args: [1] }, ["a1", "b1"]);
    });
    operation("a room that only the other node has", async (node) => {
      await reaches(node, { to: [letter], event: "room", args: [2] }, [`${letter}1`]);
    });
    operation("a room that nobody has", async (node) => {
      await reaches(node, { to: ["nobody"], event: "room", args: [3] }, []);
    });
    operation("rooms with odd names", async (node) => {
      const names = ["42", "twenty characters ok", "a#b", "é*[?]", "{tag}", "'\"\\ "];
      const member = by(`${letter}1`);
      await ask(member.socket, "join", names);
      for (const name of names) await reaches(node, { to: [name], event: "odd", args: [name] }, [member.name]);
      for (const name of names) await ask(member.socket, "leave", name);
      // Channels of single rooms are left behind the last member; nothing comes any more.
      await reaches(node, { to: ["42"], event: "odd", args: [] }, []);
    });
    operation("a room by its number", async (node) => {
      const member = by(`${letter}1`);
      await ask(member.socket, "join", ["7"]);
      // Rooms of ours are text; to Node the room 7 is another one than "7".
      await reaches(node, { to: [7], event: "number", args: [] }, node.kind === "node" && kinds[to] === "node" ? [] : [member.name]);
      await ask(member.socket, "leave", "7");
    });
    operation("several rooms, each client once", async (node) => {
      await reaches(node, { to: ["pair", "a", "b"], event: "rooms", args: [1] }, ["a1", "b1"]);
    });
    operation("all except a room", async (node) => {
      await reaches(node, { except: ["pair"], event: "except", args: [1] }, ["a2", "b2"]);
    });
    operation("a room except another", async (node) => {
      await reaches(node, { to: ["pair"], except: [letter], event: "except", args: [2] }, [`${"ba"[to]}1`]);
    });
    operation("one socket by its id", async (node) => {
      const member = by(`${letter}2`);
      await reaches(node, { to: [member.id], event: "one", args: [1] }, [member.name]);
      await reaches(node, { except: [member.id], event: "others", args: [1] }, everyone.filter((name) => name !== member.name));
    });
    operation("of a client to its room, itself left out", async (node) => {
      const speaker = by(`${"ab"[from]}1`);
      const act = () => {
        speaker.socket.emit("to-room", "pair", "said", 1);
        return ask(speaker.socket, "rooms");
      };
      onlyHeard(await heard(node, act, { to: ["pair"] }, [`${letter}1`]), [`${letter}1`], ["said", 1]);
    });
    operation("bytes", async (node) => {
      const args = [Buffer.from([0, 1, 255]), { in: [Buffer.alloc(0), "text", Buffer.from("é")] }, 7];
      await reaches(node, { event: "bytes", args }, everyone);
      await reaches(node, { to: ["pair"], event: "bytes", args }, ["a1", "b1"]);
    });
    operation("a megabyte", async (node) => {
      const args = ["é".repeat(300_000), Buffer.alloc(400_000, 7)];
      await reaches(node, { event: "large", args }, everyone);
    });
    operation("volatile", async (node) => {
      // A client that is not ready may miss it: said until it was ready once.
      const parameters = { to: ["pair"], flags: { volatile: true }, event: "volatile", args: [1] };
      await until(async () => (await heard(node, () => node.do("emit", parameters), parameters, [`${letter}1`]))[`${letter}1`].length === 1, () => "volatile event");
    });
    operation("local: not told to the other", async (node) => {
      await reaches(node, { flags: { local: true }, event: "local", args: [1] }, ["1", "2"].map((number) => "ab"[from] + number));
    });
    operation("another namespace keeps to itself", async (node) => {
      const room = hasChannels ? { room: "pair", inside: custom } : {};
      const both = await heardOf(custom, node, () => node.do("emit", { nsp: "/custom", to: ["pair"], event: "custom", args: [1] }), { nsp: "/custom", loose, ...room });
      onlyHeard(both, ["custom0", "custom1"], ["custom", 1]);
      onlyHeard(await heard(node, () => node.do("emit", { nsp: "/custom", event: "custom", args: [2] })), [], []);
    });
    operation("500 events in their order", async (node) => {
      const all = Array.from({ length: 500 }, (_, index) => index);
      const items = await heard(node, async () => {
        await Promise.all(all.map((index) => node.do("emit", { to: index % 3 ? ["pair", "seconds"] : [], event: "item", args: [index, ...(index % 5 ? [] : [Buffer.from([index & 255])])] })));
      });
      for (const name of everyone) assert.deepEqual(items[name].map(([, index]) => index), all, name);
    });

    operation("acknowledgements of all", async (node) => {
      const answer = await node.do("ask", { event: "question", args: [1, "two"] });
      assert.equal(answer.complete, true, JSON.stringify(answer));
      assert.deepEqual(answer.replies.map(({ by }) => by).sort(), everyone);
      for (const reply of answer.replies) assert.deepEqual(reply.args, [1, "two"]);
    });
    operation("acknowledgements with bytes, of a room", async (node) => {
      const bytes = Buffer.from([9, 0, 200]);
      const answer = await node.do("ask", { to: ["pair"], event: "question", args: [bytes] });
      assert.equal(answer.complete, true, JSON.stringify(answer));
      assert.deepEqual(decode(answer.replies).sort((a, b) => (a.by < b.by ? -1 : 1)), [{ by: "a1", args: [bytes] }, { by: "b1", args: [bytes] }]);
    });
    operation("acknowledgements of nobody come at once", async (node) => {
      const started = performance.now();
      const answer = await node.do("ask", { to: ["nobody"], event: "question", args: [] });
      assert.deepEqual([answer.complete, answer.replies], [true, []]);
      assert.ok(performance.now() - started < 3_000, "did not wait for the timeout");
    });
    operation("a client that does not acknowledge", async (node) => {
      const silent = by(`${letter}1`);
      silent.answers = false;
      const answer = await node.do("ask", { flags: { timeout: 400 }, event: "question", args: [3] });
      silent.answers = true;
      assert.equal(answer.complete, false);
      assert.deepEqual(answer.replies.map(({ by }) => by).sort(), everyone.filter((name) => name !== silent.name));
    });

    operation("sockets of all, with rooms, data and handshake", async (node) => {
      const { sockets, missing } = await node.do("fetch");
      assert.deepEqual(missing, []);
      const found = sockets.sort((a, b) => (a.query.name < b.query.name ? -1 : 1));
      assert.deepEqual(found.map(({ id }) => id), crowd.map(({ id }) => id));
      for (const [index, socket] of found.entries()) {
        const { name, id } = crowd[index];
        assert.deepEqual(socket.rooms, [id, ...(name.endsWith("1") ? ["pair", name[0]] : ["seconds"])].sort());
        assert.deepEqual(socket.data, { owner: name, list: [1, null] });
        assert.deepEqual([socket.query.name, socket.auth], [name, { by: name }]);
      }
    });
    operation("sockets of a room, of a room except another, of nobody", async (node) => {
      const names = async (parameters) => (await node.do("fetch", parameters)).sockets.map(({ query }) => query.name).sort();
      assert.deepEqual(await names({ to: ["pair"] }), ["a1", "b1"]);
      assert.deepEqual(await names({ to: ["pair", "seconds"], except: [letter] }), everyone.filter((name) => name !== `${letter}1`));
      assert.deepEqual(await names({ to: [by(`${letter}2`).id] }), [`${letter}2`]);
      assert.deepEqual(await names({ to: ["nobody"] }), []);
    });
    // The original cannot tell.
    if (kinds[from] === "ours") {
      operation("counts of all, of a room, of a room except another, and all rooms", async (node) => {
        const count = async (parameters) => {
          const answer = await node.do("count", parameters);
          return [answer.count, answer.unknown];
        };
        // Ours tell each other within a moment; the original is asked.
        await until(async () => (await count({ to: [letter] }))[0] === 1, () => "count of the other node's room");
        assert.deepEqual(await count({}), [4, []]);
        assert.deepEqual(await count({ to: ["pair"] }), [2, []]);
        assert.deepEqual(await count({ to: ["pair", "seconds"], except: [letter] }), [3, []]);
        assert.deepEqual(await count({ to: ["nobody"] }), [0, []]);
        const { rooms, unknown } = await node.do("rooms");
        assert.deepEqual([rooms, unknown], [{ a: 1, b: 1, pair: 2, seconds: 2 }, []]);
        assert.deepEqual((await node.do("rooms", { nsp: "/custom" })).rooms, { pair: 2 });
      });
    }
    operation("joins and leaves", async (node) => {
      const [one, two] = [by(`${letter}1`), by(`${letter}2`)];
      await node.do("join", { to: ["seconds"], rooms: ["late", "later"] });
      await until(async () => (await two.rooms).includes("later"), () => "join on the other node");
      await reaches(node, { to: ["late"], event: "joined", args: [] }, ["a2", "b2"]);
      await node.do("leave", { to: [two.id], rooms: ["late"] });
      await until(async () => !(await two.rooms).includes("late"), () => "leave on the other node");
      await reaches(node, { to: ["late"], event: "left", args: [] }, [`${"ba"[to]}2`]);
      await node.do("leave", { rooms: ["late", "later"] });
      await until(async () => !(await two.rooms).includes("later"), () => "leave of all");
      assert.deepEqual(await one.rooms, [one.id, "pair", letter].sort());
    });
    operation("disconnects one socket, and a room with its connections", async (node, other) => {
      const guests = await Promise.all(["guest1", "guest2", "guest3"].map((name, index) => Member.join(name, other, { transport: index === 1 ? "polling" : "websocket", rooms: ["guests"] })));
      await node.do("disconnect", { to: [guests[0].id], close: false });
      await until(() => guests[0].gone, () => "end of one");
      assert.equal(guests[0].gone, "io server disconnect");
      assert.deepEqual([guests[1].gone, guests[2].gone], [undefined, undefined]);
      await node.do("disconnect", { to: ["guests"], close: true });
      await until(() => guests.every(({ gone }) => gone), () => "end of all guests");
      await until(async () => (await node.do("fetch")).sockets.length === 4, () => "four sockets");
    });

    operation("an event for the other server", async (node, other) => {
      const args = ["plain", { deep: [1] }, Buffer.from([1, 2])];
      // Bytes do not fit the classic wire's JSON, from whomever.
      if (mode === "pubsub" && kinds.includes("node")) args.pop();
      await node.do("server-emit", { event: "note", args });
      const entry = await other.entry((entry) => entry.event === "server-event" && entry.args[0] === "plain", "event of the server");
      assert.deepEqual(decode(entry.args), args);
      assert.ok(!entry.asked);
      assert.ok(!node.entries.some((entry) => entry.event === "server-event" && entry.args[0] === "plain"), "the sender itself hears nothing");
      other.entries.length = 0;
      node.entries.length = 0;
    });
    operation("an event that the other server answers", async (node, other) => {
      const answer = await node.do("server-ask", { event: "note", args: ["asked", 5] });
      assert.deepEqual([answer.complete, answer.missing], [true, []]);
      assert.deepEqual(answer.replies, [{ from: other.name, args: ["asked", 5] }]);
    });
  }
}
