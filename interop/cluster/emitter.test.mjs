// Emitters across: the command `socketio-emit` to servers of Node.js and ours, and @socket.io/redis-emitter to ours. The
// original with itself proves that the suite asks for what is so.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe } from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { until, within } from "../lib/wait.mjs";
import { decode } from "./lib/bytes.mjs";
import { Member, heardOf, onlyHeard } from "./lib/crowd.mjs";
import { ClusterNode, haveOurs } from "./lib/node.mjs";
import { startRedis } from "./lib/redis.mjs";
import { steps } from "./lib/steps.mjs";

const command = process.env.SOCKETIO_EMIT;
const MODES = ["pubsub", "sharded-static", "sharded-dynamic", "sharded-dynamic-private"];
const BYTES = Buffer.from([0x89, 0x50, 0, 255]);
/** What a program that is traced has in its environment. */
const TRACED = { TRACEPARENT: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", TRACESTATE: "vendor=1" };
const ARGS = [1, -2.5, "é€😀\u2028\"\\", null, true, [], {}, { deep: [{ er: [0] }] }, 2 ** 53];

let server;
const redis = () => (server ??= startRedis());

/** Two nodes, `a1` and `b1` in the room `pair` and one of their own, `b2` over polling, `custom` in another namespace. */
class Scene {
  nodes = [];
  crowd = [];

  constructor(kinds, mode, prefix) {
    Object.assign(this, { kinds, mode, prefix, hasChannels: mode.startsWith("sharded-dynamic") });
    after(() => Promise.all(this.nodes.map((node) => node.kill())));
  }

  async begin() {
    const { url, nodeUrl } = await redis();
    this.url = url;
    const start = (kind) => ClusterNode.start(kind, { adapter: "redis", url: kind === "node" ? nodeUrl ?? url : url, mode: this.mode, prefix: this.prefix });
    this.nodes.push(...(await Promise.all(this.kinds.map(start))));
    const [one, two] = this.nodes;
    this.crowd.push(await Member.join("a1", one, { rooms: ["pair", "a"] }));
    this.crowd.push(await Member.join("b1", two, { rooms: ["pair", "b"] }));
    this.crowd.push(await Member.join("b2", two, { transport: "polling" }));
    this.custom = await Member.join("custom", two, { nsp: "/custom" });
    const met = async () => (await one.call("fetch")).sockets?.length === 3 && (await two.call("fetch")).sockets?.length === 3;
    await until(met, () => "two nodes that find each other's sockets");
  }

  by(name) {
    return this.crowd.find((member) => member.name === name);
  }

  /**
   * What the members hear of `act`. The emitter sends the fence too: a node's own clients would hear one of the node
   * before what is still on its way.
   */
  heardOf(members, act, options) {
    const emit = (_what, { nsp, to = [], event, args }) => this.emit(nsp, to, event, args);
    return heardOf(members, { do: emit }, act, options);
  }

  /** That `act` is heard by exactly these. `room` is the only room it is said to. */
  async reaches(act, names, message, room) {
    const options = this.hasChannels && room !== undefined ? { room, inside: names.map((name) => this.by(name)) } : {};
    onlyHeard(await this.heardOf(this.crowd, act, options), names, message);
  }

  /** That another namespace hears it, and nobody else. */
  async reachesCustom(act) {
    onlyHeard(await this.heardOf([this.custom], () => act(1), { nsp: "/custom" }), ["custom"], ["custom", 1]);
    await this.reaches(() => act(2), [], []);
  }

  /** A client that is not ready may miss it: said until it was ready once. */
  reachesVolatile(act) {
    return until(async () => (await this.heardOf(this.crowd, act)).a1.length === 1, () => "volatile event");
  }

  /** That 500 numbers come in their order, two of three of them only to the pair. */
  async heardInOrder(act) {
    const all = Array.from({ length: 500 }, (_, index) => index);
    const heard = await this.heardOf(this.crowd, () => act(all));
    for (const name of ["a1", "b1"]) assert.deepEqual(heard[name].map(([, index]) => index), all, name);
    assert.deepEqual(heard.b2.map(([, index]) => index), all.filter((index) => index % 3 === 0), "b2");
  }

  async heardByServers(act, args) {
    for (const node of this.nodes) node.entries.length = 0;
    await act();
    for (const node of this.nodes) {
      const entry = await node.entry((entry) => entry.event === "server-event", `server-side event at ${node.kind}`);
      assert.deepEqual(decode(entry.args), args);
    }
  }
}

/** Runs the command; how it ended and what it said. */
async function run(scene, args, input = "", environment = {}) {
  const child = spawn(command, ["--url", scene.url, "--mode", scene.mode, "--prefix", scene.prefix, ...args], { stdio: "pipe", env: { ...process.env, RUST_LOG: undefined, ...environment } });
  const said = { out: "", errors: "" };
  child.stdout.setEncoding("utf8").on("data", (text) => (said.out += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (said.errors += text));
  child.stdin.on("error", () => {}).end(input);
  const ended = new Promise((resolve, reject) => child.on("error", reject).on("close", (code) => resolve(code)));
  try {
    const code = await within(ended, `end of socketio-emit ${args.join(" ")}`, 20_000);
    return { code, errors: said.errors, lines: said.out.split("\n").filter(Boolean).map((line) => JSON.parse(line)) };
  } finally {
    child.kill("SIGKILL");
  }
}

const mixes = [["node", "node"], ...(haveOurs ? [["ours", "node"], ["ours", "ours"]] : [])];
if (command) {
  for (const mode of MODES) {
    for (const kinds of mixes) describe(`socketio-emit to ${kinds.join(" and ")}, ${mode}`, () => ours(new Scene(kinds, mode, `emit-${kinds.join("-")}-${mode}`)));
  }
}
for (const kinds of mixes) {
  describe(`@socket.io/redis-emitter to ${kinds.join(" and ")}`, () => theirs(new Scene(kinds, "pubsub", `official-${kinds.join("-")}`)));
}

function ours(scene) {
  const { first, step } = steps();
  const by = (name) => scene.by(name);
  /** The command has nothing to say, and says that all is well. */
  const emit = async (args, input, environment) => assert.deepEqual(await run(scene, args, input, environment), { code: 0, errors: "", lines: [] });
  const reaches = (args, names, message, room) => scene.reaches(() => emit(args), names, message, room);
  const answered = ({ data }) => data[0];
  scene.emit = (nsp, to, event, args) => emit(["-n", nsp, ...to.flatMap((room) => ["-r", room]), event, ...args.map((arg) => JSON.stringify(arg))]).then(() => true);

  first("two nodes with clients", () => scene.begin());
  step("an event for all, its arguments as they were", () => reaches(["all", ...ARGS.map((arg) => JSON.stringify(arg))], ["a1", "b1", "b2"], ["all", ...ARGS]));
  step("a room, as in README", () => reaches(["--room", "pair", "message", '{"text":"hi"}'], ["a1", "b1"], ["message", { text: "hi" }], "pair"));
  step("several rooms, each client once", () => reaches(["-r", "pair", "-r", "a", "-r", "b", "rooms", "1"], ["a1", "b1"], ["rooms", 1]));
  step("a room that nobody has", () => reaches(["-r", "nobody", "room"], [], []));
  step("all except a room", () => reaches(["-x", "pair", "except", "2"], ["b2"], ["except", 2]));
  step("a room except a socket", () => reaches(["-r", "pair", "-x", by("a1").id, "except", "3"], ["b1"], ["except", 3], "pair"));
  step("one socket by its id", () => reaches(["-r", by("b2").id, "one"], ["b2"], ["one"]));
  step("volatile", () => scene.reachesVolatile(() => emit(["--volatile", "volatile"])));
  step("another namespace", () => scene.reachesCustom((number) => emit(["-n", "/custom", "custom", String(number)])));
  step("a file as bytes", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "emitter-suite-"));
    try {
      const file = path.join(folder, "file");
      await writeFile(file, BYTES);
      await reaches(["bytes", `@${file}`, '"text"'], ["a1", "b1", "b2"], ["bytes", BYTES, "text"]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
  step("500 lines in their order", () => {
    const line = (index) => JSON.stringify(index % 3 ? { event: "item", args: [index], to: ["pair", "a"] } : ["item", index]);
    return scene.heardInOrder((all) => emit(["-"], all.map(line).join("\n")));
  });

  step("acknowledgements of all", async () => {
    const { code, errors, lines } = await run(scene, ["--ack", "question", "1", '"two"']);
    assert.deepEqual([code, errors], [0, ""]);
    const replies = lines.map(answered).sort((a, b) => (a.by < b.by ? -1 : 1));
    assert.deepEqual(replies, ["a1", "b1", "b2"].map((name) => ({ by: name, args: [1, "two"] })));
  });
  step("acknowledgements with bytes, of a room", async () => {
    const { code, lines } = await run(scene, ["-r", "a", "--ack", "question", "@-"], BYTES);
    assert.deepEqual([code, lines.length], [0, 1]);
    assert.deepEqual(answered(lines[0]), { by: "a1", args: [{ _placeholder: true, num: 0 }] });
    assert.deepEqual(lines[0].attachments, [BYTES.toString("base64")]);
  });
  step("acknowledgements of nobody come at once", async () => {
    const started = performance.now();
    assert.deepEqual(await run(scene, ["-r", "nobody", "--ack", "question"]), { code: 0, errors: "", lines: [] });
    assert.ok(performance.now() - started < 3_000, "did not wait for the timeout");
  });
  step("a client that does not acknowledge", async () => {
    by("b1").answers = false;
    const { code, errors, lines } = await run(scene, ["--ack", "--timeout", "1.5", "question"]);
    by("b1").answers = true;
    assert.equal(code, 1, errors);
    assert.match(errors, /^socketio-emit: no answer in time from (1 client|socket \S{20})\n$/);
    assert.deepEqual(lines.map(answered).map(({ by }) => by).sort(), ["a1", "b2"]);
  });
  step("counts", async () => {
    const count = async (...args) => run(scene, [...args, "--count"]);
    assert.deepEqual(await count(), { code: 0, errors: "", lines: [3] });
    assert.deepEqual(await count("-r", "pair"), { code: 0, errors: "", lines: [2] });
    assert.deepEqual(await count("-r", "pair", "-x", "a"), { code: 0, errors: "", lines: [1] });
    assert.deepEqual(await count("-n", "/custom"), { code: 0, errors: "", lines: [1] });
  });
  step("joins and leaves", async () => {
    await emit(["-r", "pair", "--join", "late", "--join", "later"]);
    await until(async () => (await by("a1").rooms).includes("later") && (await by("b1").rooms).includes("later"), () => "joins");
    await reaches(["-r", "late", "joined"], ["a1", "b1"], ["joined"], "late");
    await emit(["-r", by("b1").id, "--leave", "late"]);
    await until(async () => !(await by("b1").rooms).includes("late"), () => "one leaving");
    await emit(["--leave", "late", "--leave", "later"]);
    await until(async () => (await by("a1").rooms).length === 3, () => "all leaving");
  });
  step("events for the servers", () => scene.heardByServers(() => emit(["--server-side", "note", '"silent"', '{"a":[1]}']), ["silent", { a: [1] }]));
  step("events that the servers answer", async () => {
    const { code, errors, lines } = await run(scene, ["--server-side", "--ack", "note", '"asked"', "5"]);
    assert.deepEqual([code, errors], [0, ""]);
    const replies = lines.map(answered).sort((a, b) => (a.from < b.from ? -1 : 1));
    assert.deepEqual(replies, scene.nodes.map(({ name }) => ({ from: name, args: ["asked", 5] })).sort((a, b) => (a.from < b.from ? -1 : 1)));
  });
  step("a trace goes along, and nobody stumbles over it", async () => {
    const seen = [];
    const spy = await createClient({ url: scene.url }).connect();
    try {
      // A subscriber would count as a node.
      await spy.monitor((line) => seen.push(line));
      const traced = (...args) => emit(args, "", TRACED);
      await scene.reaches(() => traced("traced", "1"), ["a1", "b1", "b2"], ["traced", 1]);
      await scene.reaches(() => traced("-r", "pair", "traced", "2"), ["a1", "b1"], ["traced", 2], "pair");
      await scene.reaches(() => traced("-r", "pair", "traced", "@/dev/null"), ["a1", "b1"], ["traced", Buffer.alloc(0)], "pair");
      const { lines, ...ended } = await run(scene, ["--ack", "question"], "", TRACED);
      assert.deepEqual([ended, lines.length], [{ code: 0, errors: "" }, 3]);
      assert.deepEqual(await run(scene, ["--count"], "", TRACED), { code: 0, errors: "", lines: [3] });
      await traced("-r", by("b1").id, "--join", "traced");
      await until(async () => (await by("b1").rooms).includes("traced"), () => "a join");
      await traced("-r", by("b1").id, "--leave", "traced");
      await until(async () => !(await by("b1").rooms).includes("traced"), () => "a leaving");
      await scene.heardByServers(() => traced("--server-side", "note", '"silent"'), ["silent"]);
      const carried = seen.filter((text) => text.includes(scene.prefix) && text.includes("traceparent") && text.includes(TRACED.TRACEPARENT) && text.includes("vendor=1"));
      assert.ok(carried.length >= 4, `${carried.length} of ${seen.length} messages carried the trace`);
    } finally {
      spy.destroy();
    }
  });
  step("disconnects one socket, and a room with its connections", async () => {
    const guests = await Promise.all(scene.nodes.map((node, index) => Member.join(`guest${index}`, node, { rooms: ["guests"] })));
    await emit(["-r", guests[0].id, "--disconnect"]);
    await until(() => guests[0].gone, () => "end of one");
    assert.deepEqual([guests[0].gone, guests[1].gone], ["io server disconnect", undefined]);
    await emit(["-r", "guests", "--disconnect", "--close"]);
    await until(() => guests[1].gone, () => "end of the other");
  });
  step("a node that stands still is missing", async () => {
    const [node] = scene.nodes;
    node.signal("SIGSTOP");
    try {
      const started = performance.now();
      const { code, errors, lines } = await run(scene, ["--count", "--timeout", "1.5"]);
      assert.deepEqual([code, lines], [1, [2]], errors);
      // One of ours tells the names of the others of ours.
      const missing = scene.kinds.every((kind) => kind === "ours") ? `node ${node.name}` : "1 node without a name";
      assert.equal(errors, `socketio-emit: no answer in time from ${missing}\n`);
      assert.ok(performance.now() - started < 6_000, "waited longer than it was told");
    } finally {
      node.signal("SIGCONT");
    }
  });
}

function theirs(scene) {
  const { first, step } = steps();
  const by = (name) => scene.by(name);
  let client, emitter;
  after(() => client?.destroy());
  /** It does not wait for the broker by itself; behind this, the broker has everything. */
  const said = async (say) => {
    say();
    await client.ping();
  };
  const reaches = (say, names, message) => scene.reaches(() => said(say), names, message);

  first("two nodes with clients", async () => {
    await scene.begin();
    client = createClient({ url: scene.url });
    await client.connect();
    emitter = new Emitter(client, { key: scene.prefix });
    scene.emit = (nsp, to, event, args) => said(() => emitter.of(nsp).to(to).emit(event, ...args));
  });
  step("an event for all, its arguments as they were", () => reaches(() => emitter.emit("all", ...ARGS), ["a1", "b1", "b2"], ["all", ...ARGS]));
  step("bytes", () => reaches(() => emitter.emit("bytes", BYTES, { in: [BYTES] }), ["a1", "b1", "b2"], ["bytes", BYTES, { in: [BYTES] }]));
  step("a room", () => reaches(() => emitter.to("pair").emit("room", 1), ["a1", "b1"], ["room", 1]));
  step("several rooms, each client once", () => reaches(() => emitter.to(["pair", "a", "b"]).emit("rooms"), ["a1", "b1"], ["rooms"]));
  step("a room except another", () => reaches(() => emitter.in("pair").except("b").emit("except"), ["a1"], ["except"]));
  step("one socket by its id", () => reaches(() => emitter.to(by("a1").id).emit("one"), ["a1"], ["one"]));
  step("volatile", () => scene.reachesVolatile(() => said(() => emitter.volatile.emit("volatile"))));
  step("another namespace", () => scene.reachesCustom((number) => said(() => emitter.of("/custom").emit("custom", number))));
  step("500 events in their order", () => scene.heardInOrder((all) => said(() => all.forEach((index) => emitter.to(index % 3 ? ["pair"] : []).emit("item", index)))));
  step("joins and leaves", async () => {
    emitter.in("pair").socketsJoin(["late", "later"]);
    await until(async () => (await by("a1").rooms).includes("later") && (await by("b1").rooms).includes("later"), () => "joins");
    await reaches(() => emitter.to("late").emit("joined"), ["a1", "b1"], ["joined"]);
    emitter.in(by("a1").id).socketsLeave("late");
    await until(async () => !(await by("a1").rooms).includes("late"), () => "one leaving");
    emitter.socketsLeave(["late", "later"]);
    await until(async () => (await by("b1").rooms).length === 3, () => "all leaving");
  });
  step("events for the servers", () => scene.heardByServers(() => said(() => emitter.serverSideEmit("note", "silent", { a: [1] })), ["silent", { a: [1] }]));
  step("disconnects one socket, and a room with its connections", async () => {
    const guests = await Promise.all(scene.nodes.map((node, index) => Member.join(`guest${index}`, node, { rooms: ["guests"] })));
    emitter.in(guests[0].id).disconnectSockets();
    await until(() => guests[0].gone, () => "end of one");
    assert.deepEqual([guests[0].gone, guests[1].gone], ["io server disconnect", undefined]);
    emitter.in("guests").disconnectSockets(true);
    await until(() => guests[1].gone, () => "end of the other");
  });
}
