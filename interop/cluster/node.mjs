// The line protocol of README.md on Node.js socket.io with @socket.io/redis-adapter: the other half of mixed clusters,
// and the original against which the suites are proven.

import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient, createCluster } from "redis";
import { Server } from "socket.io";
import { decode, encode, lines } from "./lib/bytes.mjs";

const { values: flags } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    adapter: { type: "string", default: "redis" },
    url: { type: "string" },
    mode: { type: "string", default: "pubsub" },
    prefix: { type: "string", default: "socket.io" },
    "specific-responses": { type: "boolean" },
    "requests-timeout": { type: "string", default: "5000" },
  },
});

const say = (entry) => process.stdout.write(`${JSON.stringify(entry)}\n`);
const CLUSTER = "redis-cluster://";
/** A client of one server, or of a cluster whose servers the URL names. */
const client = (url) =>
  url.startsWith(CLUSTER) ? createCluster({ rootNodes: url.slice(CLUSTER.length).split(",").map((host) => ({ url: `redis://${host}` })) }) : createClient({ url });
const publisher = client(flags.url);
const subscriber = publisher.duplicate();
for (const client of [publisher, subscriber]) client.on("error", (error) => say({ event: "broker-error", message: error.message }));
await Promise.all([publisher.connect(), subscriber.connect()]);

const adapters = {
  pubsub: () =>
    createAdapter(publisher, subscriber, {
      key: flags.prefix,
      requestsTimeout: Number(flags["requests-timeout"]),
      publishOnSpecificResponseChannel: Boolean(flags["specific-responses"]),
    }),
  sharded: (subscriptionMode) => createShardedAdapter(publisher, subscriber, { channelPrefix: flags.prefix, subscriptionMode }),
};
const adapter = {
  pubsub: adapters.pubsub,
  sharded: () => adapters.sharded("dynamic"),
  "sharded-static": () => adapters.sharded("static"),
  "sharded-dynamic": () => adapters.sharded("dynamic"),
  "sharded-dynamic-private": () => adapters.sharded("dynamic-private"),
}[flags.mode]();

const http = createServer((_request, response) => response.writeHead(404).end());
const io = new Server(http, { adapter, serveClient: false, maxHttpBufferSize: 4_000_000 });
const name = `node-${process.pid}`;

for (const nsp of [io.of("/"), io.of("/custom")]) {
  nsp.on("connection", (socket) => {
    say({ event: "connection", nsp: nsp.name, id: socket.id });
    socket.on("disconnect", (reason) => say({ event: "disconnect", nsp: nsp.name, id: socket.id, reason }));
    socket.on("join", (rooms, reply) => Promise.resolve(socket.join(rooms)).then(() => reply()));
    socket.on("leave", (room, reply) => Promise.resolve(socket.leave(room)).then(() => reply()));
    socket.on("attach", (data, reply) => {
      socket.data = data;
      reply();
    });
    socket.on("rooms", (reply) => reply([...socket.rooms].sort()));
    // Of the socket itself, so that it is left out.
    socket.on("to-room", (room, event, ...args) => socket.to(room).emit(event, ...args));
  });
  nsp.on("note", (...args) => {
    const reply = typeof args.at(-1) === "function" ? args.pop() : undefined;
    say({ event: "server-event", nsp: nsp.name, args: encode(args), asked: reply !== undefined });
    if (args[0] !== "silent") reply?.({ from: name, args });
  });
}

/** The operator that a command is about. */
function target({ nsp = "/", to = [], except = [], flags = {} }) {
  let operator = io.of(nsp).to(to).except(except);
  if (flags.volatile) operator = operator.volatile;
  if (flags.local) operator = operator.local;
  if (flags.timeout !== undefined) operator = operator.timeout(flags.timeout);
  return operator;
}

const gathered = (operator, event, args) =>
  new Promise((resolve) => {
    operator.emit(event, ...args, (error, replies) => resolve({ replies: encode(replies ?? error?.responses ?? []), complete: !error, missing: [] }));
  });

const streams = new Map();
const commands = {
  nodes: async () => ({ node: name, count: await io.of("/").adapter.serverCount() }),
  emit: (command) => void target(command).emit(command.event, ...command.args),
  ask: (command) => gathered(target({ ...command, flags: { timeout: 5_000, ...command.flags } }), command.event, command.args),
  fetch: async (command) => {
    const sockets = await target(command).fetchSockets();
    return { sockets: encode(sockets.map(({ id, rooms, data, handshake }) => ({ id, rooms: [...rooms].sort(), data, query: handshake.query, auth: handshake.auth }))), missing: [] };
  },
  join: (command) => void target(command).socketsJoin(command.rooms),
  leave: (command) => void target(command).socketsLeave(command.rooms),
  disconnect: (command) => void target(command).disconnectSockets(command.close),
  "server-emit": ({ nsp = "/", event, args }) => void io.of(nsp).serverSideEmit(event, ...args),
  "server-ask": ({ nsp = "/", event, args }) =>
    new Promise((resolve) => {
      io.of(nsp).serverSideEmit(event, ...args, (error, replies) => resolve({ replies: encode(replies ?? []), complete: !error, missing: [] }));
    }),
  "stream-start": ({ stream, interval, ...command }) => {
    const state = { sent: 0, refused: 0 };
    const timer = setInterval(() => {
      target(command).emit(command.event, stream, state.sent);
      state.sent += 1;
    }, interval);
    streams.set(stream, { state, timer });
  },
  "stream-stop": ({ stream }) => {
    const { state, timer } = streams.get(stream);
    clearInterval(timer);
    streams.delete(stream);
    return state;
  },
  stats: () => ({ sockets: [...io._nsps.values()].reduce((sum, nsp) => sum + nsp.sockets.size, 0) }),
  close: async () => {
    await io.close();
    setImmediate(() => process.exit(0));
  },
};

lines(process.stdin, async (line) => {
  const command = decode(JSON.parse(line));
  try {
    say({ answer: command.id, ...(await commands[command.do](command)) });
  } catch (error) {
    say({ answer: command.id, error: error.message });
  }
});
process.stdin.on("end", () => process.exit(0));
process.stdout.on("error", () => process.exit(0));
// A broker that goes away must not end the process: the adapter leaves rejections behind.
process.on("unhandledRejection", (error) => say({ event: "broker-error", message: String(error) }));

http.listen(Number(flags.port), "127.0.0.1", () => process.stdout.write(`listening on http://127.0.0.1:${http.address().port}\n`));
