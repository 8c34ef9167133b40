// Nodes of a cluster: processes that speak the line protocol of README.md.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { until, within } from "../../lib/wait.mjs";
import { encode, lines } from "./bytes.mjs";

const reference = fileURLToPath(new URL("../node.mjs", import.meta.url));
const ours = process.env.CLUSTER_NODE?.split(" ").filter(Boolean);

/** Whether there is a node of ours to test; without one the suites prove themselves against Node alone. */
export const haveOurs = Boolean(ours?.length);

const open = new Set();
// Of the file, not of the place where a node was started: `after` in a hook means the end of the hook.
after(() => Promise.all([...open].map((node) => node.kill())));

/** How long an answer may take: requests among nodes have five seconds of their own. */
const ANSWER = 20_000;

export class ClusterNode {
  /**
   * @param {"node" | "ours"} kind
   * @param {Record<string, string | number | boolean>} options flags, camel case
   */
  static async start(kind, options) {
    const command = kind === "node" ? ["node", reference] : ours;
    const args = Object.entries(options).flatMap(([key, value]) => {
      const flag = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      if (value === false || value === undefined) return [];
      return value === true ? [flag] : [flag, String(value)];
    });
    const node = new ClusterNode(kind, spawn(command[0], [...command.slice(1), ...args], { stdio: ["pipe", "pipe", "pipe"] }));
    open.add(node);
    await node.listening();
    return node;
  }

  constructor(kind, child) {
    Object.assign(this, { kind, child, entries: [], stderr: "", asked: 0, waiting: new Map() });
    child.stderr.on("data", (chunk) => (this.stderr = (this.stderr + chunk).slice(-20_000)));
    child.stdin.on("error", () => {});
    child.on("exit", (code, signal) => {
      for (const answer of this.waiting.values()) answer({ error: `the node ended with ${code ?? signal}` });
      open.delete(this);
    });
  }

  async listening() {
    const listening = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("exit", (code, signal) => reject(new Error(`node ended with ${code ?? signal} at start: ${this.stderr}`)));
      lines(this.child.stdout, (line) => this.line(line, resolve));
    });
    this.url = await within(listening, "node that listens", 30_000);
    this.name = (await this.call("nodes")).node;
  }

  line(line, resolve) {
    const listening = /^listening on (http:\/\/\S+)$/.exec(line);
    if (listening) return resolve(listening[1]);
    if (!line.startsWith("{")) return;
    const entry = JSON.parse(line);
    if (entry.answer === undefined) return void this.entries.push(entry);
    this.waiting.get(entry.answer)?.(entry);
    this.waiting.delete(entry.answer);
  }

  get alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Makes the node do something; its answer. An answer with `error` is no failure here. */
  call(what, parameters = {}, timeout = ANSWER) {
    if (!this.alive) return Promise.resolve({ error: "the node is gone" });
    const id = (this.asked += 1);
    const answer = new Promise((resolve) => this.waiting.set(id, resolve));
    this.child.stdin.write(`${JSON.stringify({ id, do: what, ...encode(parameters) })}\n`);
    return within(answer, `answer to ${what} of ${this.kind} node; stderr: ${this.stderr.slice(-3000)}`, timeout);
  }

  /** As `call`, but it has to succeed. */
  async do(what, parameters, timeout) {
    const answer = await this.call(what, parameters, timeout);
    if (answer.error !== undefined) throw new Error(`${what} of ${this.kind} node: ${answer.error}; ${this.stderr.slice(-3000)}`);
    return answer;
  }

  /** Waits for a log entry that `matches`. */
  entry(matches, what, timeout) {
    return until(() => this.entries.find(matches), () => `${what} in ${JSON.stringify(this.entries.slice(-12))}`, timeout);
  }

  signal(name) {
    this.child.kill(name);
  }

  async kill() {
    if (!this.alive) return;
    const exit = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exit;
  }

  /** Ends it in order: it says goodbye to the others. */
  async close() {
    const exit = once(this.child, "exit");
    this.child.stdin.end(`${JSON.stringify({ id: 0, do: "close" })}\n`);
    await within(exit, "exit of the node", 15_000);
  }
}
