import { once } from "node:events";
import net from "node:net";

/** Below the ports that Linux gives to outgoing connections (32768 to 60999, `ip_local_port_range`). */
const FIRST = 12_000;
const LAST = 32_000;

/**
 * A port for a server that is started in a moment. None of those that any connection of the machine may get meanwhile:
 * RabbitMQ binds its last port five seconds after it was chosen, and every client of every suite takes one.
 */
export async function freePort() {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    const server = net.createServer();
    const free = new Promise((resolve) => server.once("listening", () => resolve(true)).once("error", () => resolve(false)));
    server.listen(port, "127.0.0.1");
    if (!(await free)) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}
