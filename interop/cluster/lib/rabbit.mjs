import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { freePort } from "../../lib/ports.mjs";
import { until } from "../../lib/wait.mjs";
import { Broker, answers, begin, end, launch, running } from "./process.mjs";

/** RabbitMQ takes its time on a busy machine. */
const START = 60_000;

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
      process.kill(this.beam ?? this.child.pid, "SIGKILL");
    } catch {
      // It was on its way.
    }
    await exit;
  }

  async end() {
    await this.kill();
    await end(this.epmd, "SIGKILL");
    await super.end();
  }

  /** With a goodbye, by which it writes down what it has. */
  async restart() {
    if (running(this.child)) {
      const exit = once(this.child, "exit");
      process.kill(this.beam, "SIGTERM");
      await exit;
    }
    await this.start();
  }

  /** Without. */
  async revive() {
    await this.kill();
    await this.start();
  }
}

/** A RabbitMQ of this suite's own; ends with it. */
export const startRabbit = () => begin(new Rabbit());
