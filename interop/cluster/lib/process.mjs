// What all brokers have in common: free ports, a temporary folder, and an end by process id.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after } from "node:test";

/** Whether something at the port answers `hello` with bytes that `expected` accepts. */
export function answers(port, hello, expected) {
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

export function launch(command, args, options) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  child.log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (child.log = (child.log + chunk).slice(-8_000)));
  // A command that is not there: whoever waits for it finds this in the log.
  child.on("error", (error) => (child.log += error.message));
  children.add(child);
  child.on("exit", () => children.delete(child));
  return child;
}

export const running = (child) => child?.pid !== undefined && child.exitCode === null && child.signalCode === null;

export async function end(child, signal) {
  if (!running(child)) return;
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
}

export class Broker {
  /** Where the members of Node.js find it. */
  get nodeUrl() {
    return this.url;
  }

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
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Stops it from doing anything, connections included: a partition. */
  pause() {
    process.kill(this.pid, "SIGSTOP");
  }

  resume() {
    process.kill(this.pid, "SIGCONT");
  }

  async restart() {
    await this.kill();
    await this.start();
  }
}

const open = new Set();
// Of the file, not of the place where a broker was started: `after` in a hook means the end of the hook.
after(() => Promise.all([...open].map((broker) => broker.end())));

export async function begin(broker) {
  broker.folder = await mkdtemp(path.join(tmpdir(), "cluster-suite-"));
  open.add(broker);
  await broker.prepare();
  await broker.start();
  return broker;
}
