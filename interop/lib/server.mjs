// Starts the server under test as INTEROP_SERVER says (a command; default: the reference server) and speaks the
// contract of README.md with it: one JSON entry per line from its stdout, one command per line to its stdin.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { after } from "node:test";
import { until } from "./wait.mjs";

const referenceServer = fileURLToPath(new URL("../reference-server.mjs", import.meta.url));
const command = process.env.INTEROP_SERVER?.split(" ").filter(Boolean) ?? ["node", referenceServer];

/** True when the official server is the one under test. */
export const isReference = command.includes(referenceServer) || command.some((part) => part.endsWith("reference-server.mjs"));

/**
 * Options of a test that states better behaviour than the original has: it is left out against the reference only.
 * @param {string} why what the original does instead
 */
export const ours = (why) => ({ skip: isReference && `ours: ${why}` });

class Server {
  constructor(child) {
    this.child = child;
    this.entries = [];
    this.stderr = "";
    child.stderr.on("data", (chunk) => (this.stderr = (this.stderr + chunk).slice(-20_000)));
  }

  async start() {
    const lines = createInterface({ input: this.child.stdout });
    this.url = await new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("exit", (code) => reject(new Error(`server ended with ${code} at start: ${this.stderr}`)));
      lines.on("line", (line) => {
        const listening = /^listening on (http:\/\/\S+)$/.exec(line);
        if (listening) resolve(listening[1]);
        else if (line.startsWith("{")) this.entries.push(JSON.parse(line));
      });
    });
    this.port = Number(new URL(this.url).port);
    this.host = new URL(this.url).host;
    return this;
  }

  /** Waits for a log entry that has all the given fields. */
  entry(fields, timeout) {
    const matches = (entry) => Object.entries(fields).every(([key, value]) => entry[key] === value);
    return until(() => this.entries.find(matches), () => `entry ${JSON.stringify(fields)} in ${JSON.stringify(this.entries.slice(-12))}`, timeout);
  }

  /** Reason with which the server saw a socket go. */
  async reason(id, nsp = "/") {
    return (await this.entry({ event: "disconnect", id, nsp })).reason;
  }

  command(line) {
    this.child.stdin.write(`${line}\n`);
  }

  /** Live counts: connections, sockets, rooms, namespaces. */
  async stats() {
    const already = this.entries.length;
    this.command("stats");
    return until(() => this.entries.slice(already).find((entry) => entry.event === "stats"), () => "stats");
  }

  /** Waits until the live counts have the given values. */
  async settled(expected) {
    let seen;
    await until(
      async () => {
        seen = await this.stats();
        return Object.entries(expected).every(([key, value]) => seen[key] === value);
      },
      () => `stats ${JSON.stringify(expected)}, last seen ${JSON.stringify(seen)}`,
      15_000,
    );
  }

  /** Resident memory of the server in bytes. */
  async rss() {
    const status = await readFile(`/proc/${this.child.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)[1]) * 1024;
  }

  async stop() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exit;
  }
}

/**
 * Starts a server that lives until the suite (file or describe block) ends.
 * @param {Record<string, string | number | boolean>} options flags of the contract, camel case
 */
export async function startServer(options = {}) {
  const args = Object.entries(options).flatMap(([key, value]) => {
    const flag = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    if (value === false || value === undefined) return [];
    return value === true ? [flag] : [flag, String(value)];
  });
  const child = spawn(command[0], [...command.slice(1), ...args], { stdio: ["pipe", "pipe", "pipe"] });
  const server = new Server(child);
  after(() => server.stop());
  return server.start();
}
