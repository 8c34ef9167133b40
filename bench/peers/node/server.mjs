// The same three events on Node's socket.io. The first argument, if there is one, is the URL of a Redis server that joins
// this server with others.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http);
if (process.argv[2]) {
  const publisher = createClient({ url: process.argv[2] });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  io.adapter(createAdapter(publisher, subscriber));
}
io.on("connection", (socket) => {
  socket.on("echo", (data, ack) => ack(data));
  socket.on("broadcast", (data) => io.emit("message", data));
});
http.listen(0, "127.0.0.1", 4096, () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
