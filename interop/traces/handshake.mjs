// The official JavaScript client, whose handshake carries the trace context in the arguments: connects, asks once, leaves.

import { io } from "socket.io-client";

const [, , url, transport, traceparent] = process.argv;
const socket = io(url, { transports: [transport], extraHeaders: { traceparent, tracestate: "vendor=abc" }, reconnection: false });
socket.on("connect_error", (error) => {
  console.error(error);
  process.exit(1);
});
socket.on("connect", async () => {
  console.log(socket.id, await socket.timeout(10_000).emitWithAck("echo", "hello"));
  socket.disconnect();
});
