// The open demo of the stock node, imitated on the official Node.js server: the browser tests run against this first, so
// that the page's own client is proved by the original before it meets ours.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

const { values: flags } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    "ping-interval": { type: "string" },
    "ping-timeout": { type: "string" },
    transports: { type: "string" },
    "max-http-buffer-size": { type: "string" },
    "tls-cert": { type: "string" },
    "tls-key": { type: "string" },
    path: { type: "string", default: "/socket.io" },
    "client-dir": { type: "string" }, // socket.io brings its own copy of the bundle
  },
});

const PAGE = new URL("../../server/page/", import.meta.url);
const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' ws: wss:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

async function serve(request, response) {
  const path = new URL(request.url, "http://localhost").pathname;
  if (path === "/favicon.ico") return response.writeHead(204).end();
  const name = path === "/" ? "index.html" : path.slice(1);
  try {
    if (!/^[a-z]+\.[a-z]+$/.test(name)) throw new Error("no such file");
    let body = await readFile(new URL(name, PAGE), "utf8");
    if (name === "index.html") body = body.replace('content="/socket.io/"', `content="${flags.path}/"`);
    response.writeHead(200, { "Content-Type": `${TYPES[extname(name)]}; charset=utf-8`, "Content-Security-Policy": POLICY });
    return response.end(body);
  } catch {
    return response.writeHead(404).end();
  }
}

const secure = flags["tls-cert"] && { cert: readFileSync(flags["tls-cert"]), key: readFileSync(flags["tls-key"]) };
const http = secure ? createSecureServer(secure, serve) : createServer(serve);

// Durations are written as our node takes them, 400ms.
const number = (name) => (flags[name] === undefined ? undefined : Number(flags[name].replace(/ms$/, "")));
const options = {
  path: flags.path,
  pingInterval: number("ping-interval"),
  pingTimeout: number("ping-timeout"),
  maxHttpBufferSize: number("max-http-buffer-size"),
  transports: flags.transports?.split(","),
};
const io = new Server(http, Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)));

const node = randomBytes(8).toString("hex");
const started = performance.now();
let eventsIn = 0;
let eventsOut = 0;

function stats() {
  const connections = { polling: 0, websocket: 0 };
  for (const socket of io.of("/").sockets.values()) connections[socket.conn.transport.name] += 1;
  const { sockets, adapter } = io.of("/");
  return {
    node,
    version: "reference",
    adapter: "memory",
    nodes: 1,
    uptime: Math.floor((performance.now() - started) / 1000),
    connections,
    sockets: sockets.size,
    rooms: adapter.rooms.size - sockets.size,
    events_in: eventsIn,
    events_out: eventsOut,
  };
}

io.on("connection", (socket) => {
  socket.onAny(() => (eventsIn += 1));
  socket.onAnyOutgoing(() => (eventsOut += 1));
  const membersOf = (room) => io.of("/").adapter.rooms.get(room)?.size ?? 0;
  const acknowledge = (reply, answer) => typeof reply === "function" && reply(answer);

  socket.on("join", async (room, reply) => {
    if (String(room).startsWith("@")) return acknowledge(reply, { error: "room names that start with @ are reserved" });
    await socket.join(String(room));
    return acknowledge(reply, { room: String(room), members: membersOf(String(room)) });
  });
  socket.on("leave", async (room, reply) => {
    await socket.leave(String(room));
    acknowledge(reply, { room: String(room), members: membersOf(String(room)) });
  });
  socket.on("publish", (room, event, ...args) => {
    const reply = typeof args.at(-1) === "function" ? args.pop() : undefined;
    io.to(String(room)).emit(event, ...args);
    eventsOut += membersOf(String(room));
    acknowledge(reply, { room: String(room), event });
  });
  socket.on("echo", (...args) => {
    if (typeof args.at(-1) === "function") args.pop()(...args);
    else socket.emit("echo", ...args);
  });
  socket.on("who", (room, reply) => {
    const members = [...(io.of("/").adapter.rooms.get(String(room)) ?? [])];
    acknowledge(reply, { room, total: members.length, sockets: members.slice(0, 100) });
  });

  let feed;
  socket.on("stats", (on, reply) => {
    clearInterval(feed);
    if (on !== false) feed = setInterval(() => socket.emit("stats", stats()), 2000);
    acknowledge(reply, stats());
  });
  socket.on("disconnect", () => clearInterval(feed));
});

http.listen(Number(flags.port), "127.0.0.1", () => {
  process.stdout.write(`listening on http://127.0.0.1:${http.address().port}\n`);
});
