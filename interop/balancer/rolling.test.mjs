// A deploy: all three nodes are restarted, one after the other, under clients and traffic.

import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import { ask, event } from "../lib/clients.mjs";
import { until } from "../lib/wait.mjs";
import { Cluster } from "./lib/cluster.mjs";
import { Standstills, Watch, busiest, fastest } from "./lib/pace.mjs";

const CLIENTS = Number(process.env.ROLLING_CLIENTS ?? 2_000);
/** Of them, how many publish, and how often; every n-th listens. */
const PUBLISHERS = 40;
const PERIOD = 400;
const LISTENING = 40;
/** All clients ask for an echo, one after the other in this time. */
const ECHO = 4_000;
/** Every n-th client polls, every n-th upgrades; the others begin with a WebSocket. */
const POLLING = 20;
const UPGRADING = 10;
/** Spread of the closings, in seconds. */
const WINDOW = 3;
/** A node takes no longer than this for each of few connections. */
const PACE = 0.005;
const ROOM = "deploy";

/** What nobody may exceed, in clients a second. */
const bound = (clients) => (1.5 * clients) / Math.min(WINDOW, clients * PACE);

/** A client that everybody's traffic comes through, and what became of it. */
function client(cluster, n) {
  const transports = n % POLLING === 0 ? ["polling"] : n % UPGRADING === 1 ? ["polling", "websocket"] : ["websocket"];
  // As an application would: what was not acknowledged is sent again.
  const socket = io(cluster.url, { forceNew: true, transports, withCredentials: true, retries: 20, ackTimeout: 3_000 });
  const self = { n, socket, connects: [], disconnects: [], refusal: "", emitted: [], acknowledged: new Set(), echoes: 0, echoed: 0 };
  socket.on("connect", () => {
    self.connects.push(performance.now());
    if (n % LISTENING === 0) socket.emit("join", ROOM);
  });
  socket.on("connect_error", ({ message, context }) => (self.refusal = `${message} ${context?.status ?? context?.message ?? ""}`));
  socket.on("disconnect", (reason) => self.disconnects.push({ at: performance.now(), reason }));
  return self;
}

/** How often each text is there. */
function tally(texts) {
  const counts = {};
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
}

// One takes 35 s, so the third one only on request.
for (const balancer of (process.env.ROLLING_BALANCERS ?? "haproxy,nginx").split(",")) {
  test(`${balancer}: a rolling restart of three nodes under ${CLIENTS} clients`, { timeout: 110_000 }, async (t) => {
    const cluster = await Cluster.start(balancer, "cookie", { env: { SOCKETIO_DRAIN_WINDOW: `${WINDOW}s`, SOCKETIO_DRAIN_GRACE: "20s" } });
    const note = (text) => t.diagnostic(`${balancer}: ${text}`);

    // One observer on each node, past the balancer: at any time some node is up, so together they hear everything.
    const heard = new Map();
    const observers = [0, 1, 2].map((index) => {
      const socket = io(cluster.nodeUrl(index), { forceNew: true, transports: ["websocket"], reconnectionDelay: 20, reconnectionDelayMax: 50 });
      socket.on("connect", () => socket.emit("join", ROOM));
      socket.on("tick", (publisher, number) => heard.set(`${publisher}/${number}`, (heard.get(`${publisher}/${number}`) ?? 0) + 1));
      return socket;
    });
    const clients = [];
    t.after(() => [...observers, ...clients.map(({ socket }) => socket)].forEach((socket) => socket.disconnect()));
    await until(() => observers.every(({ connected }) => connected), () => "observers");
    await Promise.all(observers.map((socket) => ask(socket, "join", ROOM)));

    // In groups, as people come.
    while (clients.length < CLIENTS) {
      const group = Array.from({ length: Math.min(100, CLIENTS - clients.length) }, (_, index) => client(cluster, clients.length + index));
      clients.push(...group);
      await until(() => group.every(({ socket }) => socket.connected), () => `clients: ${group.filter(({ socket }) => socket.connected).length} of ${group.length}`, 20_000);
    }
    const started = performance.now();
    const onNodes = async () => (await cluster.metrics()).map((metrics) => metrics['socketio_connections{transport="websocket"}'] + metrics['socketio_connections{transport="polling"}']);
    note(`${CLIENTS} clients on the nodes: ${await onNodes()} (with one observer each)`);

    const publishers = clients.slice(0, PUBLISHERS);
    const publish = (each) => {
      const number = each.emitted.length;
      each.emitted.push(number);
      each.socket.emit("publish", ROOM, "tick", each.n, number, (error, answer) => {
        if (!error && !answer.error) each.acknowledged.add(number);
      });
    };
    const echo = (each) => {
      each.echoes += 1;
      each.socket.emit("echo", each.echoes, (error) => !error && (each.echoed += 1));
    };
    const slices = 40;
    let slice = 0;
    const traffic = [
      setInterval(() => publishers.forEach(publish), PERIOD),
      setInterval(() => clients.filter((_, n) => n % slices === slice).forEach(echo, (slice = (slice + 1) % slices)), ECHO / slices),
    ];
    const silence = () => traffic.forEach(clearInterval);
    t.after(silence);
    await until(() => heard.size > PUBLISHERS, () => "traffic");

    const standstills = new Standstills();
    const closings = new Watch([0, 1, 2].map((index) => `${cluster.nodeUrl(index)}/metrics`), 'socketio_connections_closed_total{reason="server shutting down"}');
    t.after(() => (standstills.end(), closings.stop()));
    await cluster.roll(80_000);
    const rolled = performance.now();
    const away = () => clients.filter(({ socket }) => !socket.connected);
    await until(() => away().length === 0, () => `${away().length} clients, of which ${JSON.stringify(tally(away().map(({ refusal }) => refusal)))} were refused last`, 20_000);
    const back = performance.now();
    silence();

    // What was emitted is acknowledged, now or after one more try.
    const open = () => clients.reduce((sum, each) => sum + each.emitted.length - each.acknowledged.size + each.echoes - each.echoed, 0);
    await until(() => open() === 0, () => `${open()} acknowledgements`, 20_000).catch(() => {});
    const [emitted, echoes] = [clients.reduce((sum, each) => sum + each.emitted.length, 0), clients.reduce((sum, each) => sum + each.echoes, 0)];
    const unheard = () => publishers.flatMap((each) => [...each.acknowledged].filter((number) => !heard.has(`${each.n}/${number}`)).map((number) => `${each.n}/${number}`));
    await until(() => unheard().length === 0, () => `${unheard().length} events`, 5_000).catch(() => {});

    note(`restarted in ${((rolled - started) / 1_000).toFixed(1)} s; the last client was back ${Math.max(0, (back - rolled) / 1_000).toFixed(1)} s after the last node`);
    const copies = [...heard.values()].reduce((a, b) => a + b, 0);
    note(`events: ${emitted} published, ${echoes} echoes, ${open()} not acknowledged; of the published and acknowledged ones lost: ${unheard().length} (three observers heard ${copies} copies)`);
    assert.deepEqual({ unacknowledged: open(), lost: unheard() }, { unacknowledged: 0, lost: [] });
    assert.ok(emitted > PUBLISHERS * 20, `${emitted} events`);

    // Everybody was moved, and nobody more often than there were restarts.
    const moves = clients.map(({ disconnects }) => disconnects.length);
    const times = clients.reduce((all, { disconnects }) => all.concat(disconnects.map(({ reason }) => reason)), []);
    note(`${moves.reduce((a, b) => a + b, 0)} disconnections (${JSON.stringify(tally(times))}), at most ${Math.max(...moves)} of one client`);
    assert.ok(moves.every((count) => count <= 3), `${Math.max(...moves)} disconnections of one client`);
    assert.equal(clients.filter(({ disconnects }) => disconnects.some(({ at }) => at > started)).length > 0, true);

    // A node closes its connections evenly: that is in its hands alone, so nothing is allowed for.
    const closed = (await closings.end()).map(([before], index) => {
      const { count } = before.at(-1);
      note(`node${index + 1} closed ${count} connections, at most ${fastest(before).toFixed(0)} in a second; 1.5 × connections / drain window = ${bound(count).toFixed(0)}`);
      assert.ok(count > 0 && fastest(before) <= bound(count), `${fastest(before)} closings in a second`);
      return count;
    });

    // And so its clients come back. They are all in this process, so when it stands still, what they would have done
    // meanwhile and what came meanwhile is all at its end: only the seconds around such a moment may have more.
    const reconnects = clients.flatMap(({ connects }) => connects.slice(1)).filter((at) => at >= cluster.restarts[0]);
    const most = bound(Math.max(...closed));
    const { count, stall, allowed } = busiest(reconnects, most, standstills);
    note(`${reconnects.length} clients came back, at most ${count} in a second; 1.5 × clients of a node / drain window = ${most.toFixed(0)}, with a standstill of ${(stall * 1_000).toFixed(0)} ms here ${allowed.toFixed(0)}`);
    assert.ok(count <= allowed, `${count} reconnections in one second, ${allowed.toFixed(0)} allowed`);
  });
}
