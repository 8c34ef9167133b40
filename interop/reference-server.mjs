// The interop server contract (see README.md) on the official Node.js server. It exists so that every suite can be
// checked against the original first: a test that fails here states something the protocol does not say.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Server } from "socket.io";
import msgpackParser from "socket.io-msgpack-parser";

const { values: flags } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    path: { type: "string" },
    "no-add-trailing-slash": { type: "boolean" },
    transports: { type: "string" },
    "no-allow-upgrades": { type: "boolean" },
    "allow-eio3": { type: "boolean" },
    parser: { type: "string", default: "json" },
    "ping-interval": { type: "string" },
    "ping-timeout": { type: "string" },
    "upgrade-timeout": { type: "string" },
    "connect-timeout": { type: "string" },
    "max-http-buffer-size": { type: "string" },
    "max-attachments": { type: "string" },
    "http-compression-threshold": { type: "string" },
    "cors-origin": { type: "string" },
    "cors-credentials": { type: "boolean" },
    "cors-max-age": { type: "string" },
    cookie: { type: "boolean" },
    "allow-request": { type: "boolean" },
    "cleanup-empty-child-namespaces": { type: "boolean" },
    // Bounds that the original does not have; taken so that the tests need not care.
    "allowed-origins": { type: "string" },
    "max-outbox-bytes": { type: "string" },
    "header-read-timeout": { type: "string" },
    "body-read-timeout": { type: "string" },
  },
});

const number = (name) => (flags[name] === undefined ? undefined : Number(flags[name]));
const options = {
  path: flags.path,
  addTrailingSlash: !flags["no-add-trailing-slash"],
  transports: flags.transports?.split(","),
  allowUpgrades: !flags["no-allow-upgrades"],
  allowEIO3: Boolean(flags["allow-eio3"]),
  parser: flags.parser === "msgpack" ? msgpackParser : undefined,
  pingInterval: number("ping-interval"),
  pingTimeout: number("ping-timeout"),
  upgradeTimeout: number("upgrade-timeout"),
  connectTimeout: number("connect-timeout"),
  maxHttpBufferSize: number("max-http-buffer-size"),
  httpCompression: flags["http-compression-threshold"] ? { threshold: number("http-compression-threshold") } : undefined,
  cookie: flags.cookie,
  cleanupEmptyChildNamespaces: flags["cleanup-empty-child-namespaces"],
  serveClient: false,
};
if (flags["cors-origin"]) {
  const origins = flags["cors-origin"].split(",");
  options.cors = {
    origin: flags["cors-origin"] === "*" ? "*" : origins,
    credentials: flags["cors-credentials"],
    maxAge: number("cors-max-age"),
  };
}
if (flags["allow-request"]) {
  options.allowRequest = (request, decide) => {
    const refuse = new URL(request.url, "http://localhost").searchParams.get("refuse");
    if (refuse === null) decide(null, true);
    else decide(refuse === "plain" ? null : refuse, false);
  };
}
for (const key of Object.keys(options)) if (options[key] === undefined) delete options[key];

const limits = flags["header-read-timeout"] ? { headersTimeout: number("header-read-timeout"), connectionsCheckingInterval: 100 } : {};
const http = createServer(limits, (_request, response) => response.writeHead(404).end());
const io = new Server(http, options);
const log = (entry) => process.stdout.write(`${JSON.stringify(entry)}\n`);

const refusal = (message, data) => Object.assign(new Error(message), { data });
io.of("/deny").use((_socket, next) => next(refusal("nope", { code: 1, why: ["because"] })));
io.of("/token").use((socket, next) =>
  next(socket.handshake.auth.token === "secret" ? undefined : refusal("not authorized", { missing: "token" })),
);
for (const namespace of [io.of("/"), io.of("/custom"), io.of("/deny"), io.of("/token"), io.of(/^\/dynamic-\d+$/)]) {
  namespace.on("connection", application);
}
io.engine.on("connection_error", (error) => log({ event: "connection_error", code: error.code, message: error.message }));

// What a test may see of a value as the server decoded it: bytes become `{"bytes": "<hex>"}`.
function describe(value) {
  if (Buffer.isBuffer(value)) return { bytes: value.toString("hex") };
  if (Array.isArray(value)) return value.map(describe);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, describe(inner)]));
  }
  return value;
}

function application(socket) {
  const nsp = socket.nsp;
  const identity = { nsp: nsp.name, id: socket.id };
  log({ event: "connection", ...identity });
  socket.on("disconnecting", (reason) => log({ event: "disconnecting", ...identity, reason, rooms: [...socket.rooms] }));
  socket.on("disconnect", (reason) => log({ event: "disconnect", ...identity, reason }));

  socket.emit("auth", socket.handshake.auth);

  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("describe", (...args) => args.pop()(describe(args)));
  socket.on("ask", (timeout, ...args) => {
    const reply = args.pop();
    socket.timeout(timeout).emit("question", ...args, (error, ...answer) => {
      if (error) reply("timeout");
      else reply("answer", ...answer);
    });
  });
  socket.on("no-ack", () => {});

  socket.on("state", (reply) => {
    const { query, auth } = socket.handshake;
    const rooms = [...socket.rooms].sort();
    reply({ id: socket.id, nsp: nsp.name, rooms, query, auth, recovered: socket.recovered, transport: socket.conn.transport.name });
  });
  socket.on("join", async (room, reply) => {
    await socket.join(room);
    reply?.();
  });
  socket.on("leave", async (room, reply) => {
    await socket.leave(room);
    reply?.();
  });
  socket.on("to-room", (room, event, ...args) => socket.to(room).emit(event, ...args));
  socket.on("in-room", (room, event, ...args) => nsp.in(room).emit(event, ...args));
  socket.on("except-room", (room, event, ...args) => nsp.except(room).emit(event, ...args));
  socket.on("to-others", (event, ...args) => socket.broadcast.emit(event, ...args));
  socket.on("fetch", async (room, reply) => reply((await nsp.in(room).fetchSockets()).map((found) => found.id).sort()));
  socket.on("ask-room", (room, timeout, event, ...args) => {
    const reply = args.pop();
    nsp.in(room).timeout(timeout).emit(event, ...args, (error, answers) => reply(error ? "timeout" : "answers", answers));
  });

  socket.on("volatile", (event, ...args) => socket.volatile.emit(event, ...args));
  socket.on("volatile-flood", (count, size) => {
    const filler = "x".repeat(size);
    for (let index = 0; index < count; index += 1) socket.volatile.emit("flood", index, filler);
    socket.emit("flood-end", count);
  });
  socket.on("burst", (count) => {
    for (let index = 0; index < count; index += 1) socket.emit("item", index);
  });
  socket.on("fill", (count, size) => {
    const filler = "x".repeat(size);
    for (let index = 0; index < count; index += 1) socket.emit("filler", index, filler);
  });
  const seen = [];
  socket.on("note", (value) => seen.push(value));
  socket.on("noted", (reply) => reply(seen));
  socket.on("noted-sizes", (reply) => reply(seen.map((text) => text.length)));
  // A client may legally emit an event of this name.
  socket.on("error", (value) => {
    if (!(value instanceof Error)) socket.emit("error-seen", value);
  });

  socket.on("disconnect-me", (close) => socket.disconnect(close));
  socket.on("drop-transport", () => socket.conn.close());
}

function stats() {
  let sockets = 0;
  let rooms = 0;
  for (const namespace of io._nsps.values()) {
    sockets += namespace.sockets.size;
    rooms += namespace.adapter.rooms.size;
  }
  log({ event: "stats", connections: io.engine.clientsCount, sockets, rooms, namespaces: io._nsps.size });
}

const commands = createInterface({ input: process.stdin });
commands.on("line", (line) => {
  if (line === "stats") stats();
  else if (line === "close") io.close(() => log({ event: "closed" }));
});
// The launcher owns this process: when it goes away its end of the pipe does too.
commands.on("close", () => process.exit(0));
process.stdout.on("error", () => process.exit(0));

http.listen(Number(flags.port), "127.0.0.1", () => {
  process.stdout.write(`listening on http://127.0.0.1:${http.address().port}\n`);
});
