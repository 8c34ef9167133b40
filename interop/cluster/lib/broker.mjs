// Brokers of the tests' own: free ports, a temporary folder each, ended by process id.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, mkdir, readFile, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after } from "node:test";
import { until } from "../../lib/wait.mjs";

/** RabbitMQ takes its time on a busy machine. */
const START = 60_000;

async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Whether something at the port answers `hello` with bytes that `expected` accepts. */
function answers(port, hello, expected) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    let text = "";
    const end = (value) => {
      socket.destroy();
      resolve(value);
    };
    socket.setTimeout(1_000, () => end(false));
    socket.on("connect", () => socket.write(hello));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (expected.test(text)) end(true);
    });
    socket.on("error", () => end(false));
    socket.on("close", () => end(false));
  });
}

const children = new Set();
// Also when the suite ends in an unforeseen way.
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));

function launch(command, args, options) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  child.log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (child.log = (child.log + chunk).slice(-8_000)));
  children.add(child);
  child.on("exit", () => children.delete(child));
  return child;
}

const running = (child) => child !== undefined && child.exitCode === null && child.signalCode === null;

async function end(child, signal) {
  if (!running(child)) return;
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
}

class Broker {
  /** The process to which signals go. */
  get pid() {
    return this.child.pid;
  }

  /** Ends it without a goodbye; what it had on disk stays. */
  async kill() {
    await end(this.child, "SIGKILL");
  }

  /** Ends it for good. */
  async end() {
    await this.kill();
    await end(this.epmd, "SIGKILL");
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Stops it from doing anything, connections included: a partition. */
  pause() {
    process.kill(this.pid, "SIGSTOP");
  }

  resume() {
    process.kill(this.pid, "SIGCONT");
  }
}

class Redis extends Broker {
  async prepare() {
    this.port = await freePort();
    this.url = `redis://127.0.0.1:${this.port}`;
  }

  async start() {
    const args = ["--port", this.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", this.folder, "--daemonize", "no"];
    this.child = launch("redis-server", args.map(String));
    await until(
      () => running(this.child) ? answers(this.port, "PING\r\n", /^\+PONG/) : Promise.reject(new Error(`redis-server: ${this.child.log}`)),
      () => `redis-server: ${this.child.log}`,
    );
  }

  async restart() {
    await this.kill();
    await this.start();
  }
}

/** Where Debian keeps the scripts behind the wrapper that insists on its own user. */
const RABBIT = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/sbin/rabbitmq-server", "/opt/rabbitmq/sbin/rabbitmq-server"];

class Rabbit extends Broker {
  async prepare() {
    this.port = await freePort();
    this.url = `amqp://guest:guest@127.0.0.1:${this.port}/%2f`;
    const home = path.join(this.folder, "home");
    await mkdir(home);
    const [epmd, distribution] = [await freePort(), await freePort()];
    const file = (name) => path.join(this.folder, name);
    this.environment = {
      PATH: process.env.PATH,
      HOME: home,
      ERL_EPMD_PORT: String(epmd),
      RABBITMQ_NODENAME: "cluster-suite@localhost",
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: String(this.port),
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_MNESIA_BASE: file("data"),
      RABBITMQ_LOG_BASE: file("log"),
      RABBITMQ_PID_FILE: file("pid"),
      RABBITMQ_ENABLED_PLUGINS_FILE: file("plugins"),
      RABBITMQ_CONF_ENV_FILE: file("no-such-file"),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+S 1:1 +sbwt none",
    };
    // In the foreground, so that it is ours to end; otherwise Erlang leaves one behind for ever.
    this.epmd = launch("epmd", ["-port", String(epmd), "-address", "127.0.0.1"], { env: { PATH: process.env.PATH } });
  }

  async start() {
    const command = RABBIT.find(existsSync) ?? "rabbitmq-server";
    const pidFile = this.environment.RABBITMQ_PID_FILE;
    await rm(pidFile, { force: true });
    this.child = launch(command, [], { env: this.environment });
    await until(
      () => running(this.child) ? answers(this.port, "AMQP\0\0\x09\x01", /^\x01\0\0/) : Promise.reject(new Error(`rabbitmq-server: ${this.child.log}`)),
      () => `rabbitmq-server: ${this.child.log}`,
      START,
    );
    // The child is a shell script, the broker is its child.
    this.beam = Number(await readFile(pidFile, "utf8"));
  }

  get pid() {
    return this.beam;
  }

  async kill() {
    if (!running(this.child)) return;
    const exit = once(this.child, "exit");
    try {
      process.kill(this.beam, "SIGKILL");
    } catch {
      // It was on its way.
    }
    await exit;
  }

  async restart() {
    // A goodbye this time: an unclean end costs the next start many seconds.
    if (running(this.child)) {
      const exit = once(this.child, "exit");
      process.kill(this.beam, "SIGTERM");
      await exit;
    }
    await this.start();
  }
}

const open = new Set();
// Of the file, not of the place where a broker was started: `after` in a hook means the end of the hook.
after(() => Promise.all([...open].map((broker) => broker.end())));

async function begin(broker) {
  broker.folder = await mkdtemp(path.join(tmpdir(), "cluster-suite-"));
  open.add(broker);
  await broker.prepare();
  await broker.start();
  return broker;
}

/** A Redis of this suite's own; ends with it. */
export const startRedis = () => begin(new Redis());

/** A RabbitMQ of this suite's own; ends with it. */
export const startRabbit = () => begin(new Rabbit());
