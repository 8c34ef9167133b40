// A cluster behind a balancer, as scripts/cluster-up.sh starts it for people too.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../../lib/ports.mjs";
import { until, within } from "../../lib/wait.mjs";

const script = fileURLToPath(new URL("../../../scripts/cluster-up.sh", import.meta.url));
/** Where Traefik is. */
const programs = fileURLToPath(new URL("../../.venv/bin", import.meta.url));

const open = new Set();
after(() => Promise.all([...open].map((cluster) => cluster.end())));
process.on("exit", () => open.forEach(({ child }) => child.kill("SIGTERM")));

/** Free ports, none of them twice. */
async function freePorts(count) {
  const ports = new Set();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}

export class Cluster {
  /**
   * @param {"haproxy" | "nginx" | "traefik"} balancer
   * @param {"cookie" | "hash"} sticky
   * @param {{flags?: string[], env?: Record<string, string>}} options flags and variables of the nodes
   */
  static async start(balancer, sticky, { flags = [], env = {} } = {}) {
    const [port, redis, ...nodes] = await freePorts(5);
    const args = ["--balancer", balancer, "--sticky", sticky, "--port", port, "--redis-port", redis, "--node-ports", nodes.join(",")];
    // Where the other programs are is for the tests; a node refuses variables that it does not know.
    const { SOCKETIO_EMIT, SOCKETIO_LOADTEST, ...inherited } = process.env;
    const child = spawn(script, [...args.map(String), "--", ...flags], { stdio: ["ignore", "pipe", "pipe"], env: { ...inherited, PATH: `${process.env.PATH}:${programs}`, ...env } });
    const cluster = Object.assign(new Cluster(), { child, port, nodes, redis, log: "", url: `http://127.0.0.1:${port}`, host: `127.0.0.1:${port}` });
    cluster.restarts = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (cluster.log += chunk));
    child.stdout.on("data", (chunk) => /^restarting node/m.test(chunk) && cluster.restarts.push(performance.now()));
    open.add(cluster);
    await cluster.says("cluster ready", 30_000);
    return cluster;
  }

  /** Waits for a line of the script. */
  says(text, timeout) {
    const ended = () => this.child.exitCode !== null && Promise.reject(new Error(`cluster-up.sh ended: ${this.log.slice(-4_000)}`));
    return until(() => this.log.includes(text) || ended(), () => `"${text}" in ${this.log.slice(-4_000)}`, timeout);
  }

  nodeUrl(index) {
    return `http://127.0.0.1:${this.nodes[index]}`;
  }

  /** Series of each node's /metrics, as `{"name{labels}": value}`. */
  metrics() {
    return Promise.all(this.nodes.map((port) => scrape(`http://127.0.0.1:${port}/metrics`)));
  }

  /** Restarts all nodes, one after the other. */
  async roll(timeout) {
    this.child.kill("SIGHUP");
    await this.says("restarted all nodes", timeout);
  }

  async end() {
    open.delete(this);
    if (this.child.exitCode !== null) return;
    const exit = once(this.child, "exit");
    const before = this.log.length;
    this.child.kill("SIGTERM");
    // The second one waits for no drain.
    await until(() => this.log.includes("draining", before), () => "drain").catch(() => {});
    this.child.kill("SIGTERM");
    await within(exit, "end of cluster-up.sh", 20_000);
  }
}

export async function scrape(url) {
  const text = await (await fetch(url)).text();
  const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
  return Object.fromEntries(lines.map((line) => /^(.*) (\S+)$/.exec(line)).map(([, series, value]) => [series, Number(value)]));
}
