// A Node.js server that shares rooms and broadcasts with the stock nodes, and understands what their demo understands:
// `join`, `leave`, `publish` and `echo`.

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const publisher = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
const subscriber = publisher.duplicate();
for (const client of [publisher, subscriber]) client.on("error", (error) => console.error(`redis: ${error.message}`));
await Promise.all([publisher.connect(), subscriber.connect()]);

let ready = true;
const http = createServer((request, response) => {
  const known = ["/healthz", "/readyz"].includes(request.url);
  response.writeHead(!known ? 404 : request.url === "/readyz" && !ready ? 503 : 200).end();
});
const io = new Server(http, { adapter: createAdapter(publisher, subscriber) });

io.on("connection", (socket) => {
  const members = async (room) => (await io.in(room).fetchSockets()).length;
  socket.on("join", async (room, reply) => {
    await socket.join(String(room));
    reply?.({ room, members: await members(String(room)) });
  });
  socket.on("leave", async (room, reply) => {
    await socket.leave(String(room));
    reply?.({ room, members: await members(String(room)) });
  });
  socket.on("publish", (room, event, ...args) => {
    const reply = typeof args.at(-1) === "function" ? args.pop() : undefined;
    io.to(String(room)).emit(String(event), ...args);
    reply?.({ room, event });
  });
  socket.on("echo", (...args) => {
    const reply = args.at(-1);
    if (typeof reply === "function") reply(...args.slice(0, -1));
    else socket.emit("echo", ...args);
  });
});

http.listen(Number(process.env.PORT ?? 3000), () => console.log(`listening on http://127.0.0.1:${http.address().port}`));

// As a stock node: first no new clients, then the others go.
process.once("SIGTERM", () => {
  ready = false;
  setTimeout(() => io.close(() => process.exit(0)), 3_000);
});
