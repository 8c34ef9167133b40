// What operators look at, against what nodes and emitters really export: every expression of the dashboard and of the alerts is
// asked of a real Prometheus that scrapes a real cluster and the file that socketio-emit leaves.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { io } from "socket.io-client";
import { end, launch, running } from "../cluster/lib/process.mjs";
import { freePort } from "../lib/ports.mjs";
import { ask, event } from "../lib/clients.mjs";
import { until } from "../lib/wait.mjs";
import { Cluster } from "./lib/cluster.mjs";

const run = promisify(execFile);
const deploy = fileURLToPath(new URL("../../deploy/", import.meta.url));
const emit = process.env.SOCKETIO_EMIT ?? path.join(path.dirname(process.env.SOCKETIO_NODE_BIN), "socketio-emit");
const dashboard = JSON.parse(await readFile(path.join(deploy, "grafana/dashboards/socketio.json"), "utf8"));
const panels = dashboard.panels.filter(({ type }) => type !== "row");

/** Every expression of the dashboard with its place, as Grafana would send it. */
const expressions = [
  ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr])),
  ...dashboard.annotations.list.map(({ name, expr }) => [name, expr]),
].map(([title, expr]) => [title, expr.replaceAll("$__rate_interval", "10s").replaceAll("$__range", "1m").replaceAll("$job", "socketio").replaceAll("$instance", ".*")]);

/** Those that show something only when something is wrong, with many clients, or if the application asks all nodes. */
const quiet = (expr) =>
  /(> 0|== 0)( or vector\(0\))?$/.test(expr) || expr.includes("> 100") || expr.startsWith("ALERTS") || expr.includes("cluster_request_seconds");

let cluster, prometheus, folder, base, worker;
const get = async (what, parameters) => (await fetch(`${base}/api/v1/${what}?${new URLSearchParams(parameters)}`)).json();

before(async () => {
  // No span is ever sampled, but their numbers are exported.
  const flags = ["--otlp-endpoint", "http://127.0.0.1:9", "--trace-sample-ratio", "0"];
  cluster = await Cluster.start("haproxy", "cookie", { env: { SOCKETIO_DRAIN_DELAY: "0s" }, flags });
  folder = await mkdtemp(path.join(tmpdir(), "monitoring-"));
  worker = await Worker.start();
  await cp(path.join(deploy, "prometheus"), folder, { recursive: true });
  const config = (await readFile(path.join(folder, "prometheus.yml"), "utf8"))
    .replaceAll(": 5s", ": 1s")
    .replaceAll(/127\.0\.0\.1:300([123])/g, (_, n) => `127.0.0.1:${cluster.nodes[n - 1]}`);
  const job = `  - job_name: worker\n    static_configs:\n      - targets: ["127.0.0.1:${worker.port}"]\n`;
  await writeFile(path.join(folder, "prometheus.yml"), config + job);
  const port = await freePort();
  base = `http://127.0.0.1:${port}`;
  prometheus = launch("prometheus", [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`]);
  await until(
    () => (running(prometheus) ? fetch(`${base}/-/ready`).then(({ ok }) => ok, () => false) : Promise.reject(new Error(prometheus.log))),
    () => `prometheus: ${prometheus.log}`,
    30_000,
  );
});
after(async () => {
  await end(prometheus, "SIGTERM");
  worker?.end();
  await cluster?.end();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** A job that emits one event more each time, and whose last page is served as node_exporter does. */
class Worker {
  static async start() {
    const worker = new Worker();
    worker.file = path.join(folder, "emit.prom");
    await worker.work(1);
    const server = createServer(async (_, response) => response.end(await readFile(worker.file))).listen(0, "127.0.0.1");
    await once(server, "listening");
    return Object.assign(worker, { server, port: server.address().port });
  }

  async work(events) {
    const url = `redis://127.0.0.1:${cluster.redis}`;
    const child = spawn(emit, ["-u", url, "-r", "panel", "--metrics", this.file, "-"], { stdio: ["pipe", "ignore", "pipe"] });
    let log = "";
    child.stderr.on("data", (chunk) => (log += chunk));
    child.stdin.end('["tick",1]\n'.repeat(events));
    const [code] = await once(child, "exit");
    assert.equal(code, 0, log);
  }

  end() {
    this.server?.close();
    this.server?.closeAllConnections();
  }
}

/** The page in the older format, as promtool wants it: there families of counters are named as their samples. */
const older = (page) => {
  const counters = new Set([...page.matchAll(/^# TYPE (\S+) counter$/gm)].map(([, name]) => name));
  const named = page.replaceAll(/^# (HELP|TYPE) (\S+) /gm, (line, what, name) => (counters.has(name) ? `# ${what} ${name}_total ` : line));
  return named.replaceAll(/^# (UNIT .*|EOF)\n/gm, "");
};

test("promtool finds nothing to complain of in the pages of a node and of an emitter", async (t) => {
  const node = await (await fetch(`${cluster.nodeUrl(0)}/metrics`)).text();
  for (const page of [node, await readFile(worker.file, "utf8")]) {
    const child = spawn("promtool", ["check", "metrics"], { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
    child.stdin.end(older(page));
    const [code] = await once(child, "exit");
    assert.deepEqual([code, said], [0, ""]);
  }
  t.diagnostic(`${node.match(/^# TYPE /gm).length} families of a node`);
});

test("every alert leads to a section of the documentation", async () => {
  const rules = await readFile(path.join(deploy, "prometheus/alerts.yml"), "utf8");
  const operate = await readFile(path.join(deploy, "../docs/OPERATE.md"), "utf8");
  const anchors = new Set([...operate.matchAll(/^#+ (.*)$/gm)].map(([, title]) => title.toLowerCase().replaceAll(/[^a-z0-9 -]/g, "").replaceAll(" ", "-")));
  const alerts = rules.split("- alert: ").slice(1);
  for (const alert of alerts) {
    const name = alert.split("\n")[0];
    const [, anchor] = /runbook_url: docs\/OPERATE\.md#(\S+)/.exec(alert) ?? assert.fail(`${name} leads nowhere`);
    assert.ok(anchors.has(anchor), `${name}: docs/OPERATE.md has no section ${anchor}`);
  }
  const metrics = await readFile(path.join(deploy, "../docs/METRICS.md"), "utf8");
  const options = await readFile(path.join(deploy, "../docs/OPTIONS.md"), "utf8");
  for (const [, anchor] of [...metrics.matchAll(/OPERATE\.md#([a-z-]+)/g), ...options.matchAll(/OPERATE\.md#([a-z-]+)/g), ...operate.matchAll(/\]\(#([a-z-]+)\)/g)]) {
    assert.ok(anchors.has(anchor), `docs/OPERATE.md has no section ${anchor}`);
  }
});

test("promtool: configurations, rules, and when each alert fires", async (t) => {
  for (const args of [["check", "config", "prometheus.yml"], ["check", "config", "compose.yml"], ["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]]) {
    const { stdout, stderr } = await run("promtool", args, { cwd: path.join(deploy, "prometheus") });
    assert.match(stdout + stderr, /SUCCESS/);
  }
  const rules = await readFile(path.join(deploy, "prometheus/alerts.yml"), "utf8");
  const tests = await readFile(path.join(deploy, "prometheus/alerts_test.yml"), "utf8");
  const names = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  for (const name of names) assert.ok(tests.includes(`ALERTS{alertname="${name}", alertstate="firing", `), `${name} is never seen to fire`);
  t.diagnostic(`${names.length} alerts`);
});

test("the metrics that dashboard and alerts name are exported, with these labels", async (t) => {
  const page = (await (await fetch(`${cluster.nodeUrl(0)}/metrics`)).text()) + (await readFile(worker.file, "utf8"));
  const series = page.split("\n").filter((line) => line && !line.startsWith("#"));
  const known = new Map([["up", new Map()]]);
  for (const line of series) {
    const [, name, labels = ""] = /^([a-z_]+)(?:\{(.*)\})? /.exec(line);
    if (!known.has(name)) known.set(name, new Map());
    for (const [, label, value] of labels.matchAll(/([a-z_]+)="([^"]*)"/g)) {
      const values = known.get(name).get(label) ?? new Set();
      known.get(name).set(label, values.add(value));
    }
  }
  const rules = await get("rules");
  const alerts = rules.data.groups.flatMap((group) => group.rules.map(({ name, query }) => [name, query]));
  const variables = dashboard.templating.list.filter(({ type }) => type === "query").map(({ name, query }) => [name, query.query]);
  let checked = 0;
  for (const [place, expr] of [...expressions, ...alerts, ...variables]) {
    for (const [, name, , labels = ""] of expr.matchAll(/\b((?:socketio|process)_[a-z_]+)\b(\{([^}]*)\})?/g)) {
      checked += 1;
      assert.ok(known.has(name), `${place}: nobody exports ${name}`);
      for (const [, label, operator, value] of labels.matchAll(/([a-z_]+)(=~|!=|!~|=)"([^"]*)"/g)) {
        if (["job", "instance"].includes(label)) continue;
        const values = known.get(name).get(label);
        assert.ok(values, `${place}: ${name} has no label ${label}`);
        for (const one of operator.includes("~") ? value.split("|") : [value]) assert.ok(values.has(one), `${place}: ${name} is never ${label}="${one}"`);
      }
    }
  }
  assert.ok(checked > 80, `${checked} names`);
  t.diagnostic(`${checked} names of metrics in ${expressions.length} expressions of ${panels.length} panels, ${alerts.length} alerts`);
});

test("Prometheus finds something for every panel", async (t) => {
  const sockets = Array.from({ length: 12 }, (_, n) => io(cluster.url, { forceNew: true, withCredentials: true, transports: n % 2 ? ["websocket"] : ["polling"] }));
  t.after(() => sockets.forEach((socket) => socket.disconnect()));
  await Promise.all(sockets.map((socket) => event(socket, "connect")));
  await Promise.all(sockets.map((socket) => ask(socket, "join", "panel")));
  const traffic = setInterval(() => sockets.forEach((socket) => socket.emit("publish", "panel", "tick", 1) && socket.emit("echo", 2)), 100);
  t.after(() => clearInterval(traffic));
  let events = 1;

  const empty = async () => {
    await worker.work((events += 1));
    const found = [];
    for (const [place, query] of expressions) {
      const answer = await get("query", { query });
      assert.equal(answer.status, "success", `${place}: ${query}: ${answer.error}`);
      if (!quiet(query) && !answer.data.result.some(({ value }) => Number.isFinite(Number(value[1])))) found.push(`${place}: ${query}`);
    }
    return found;
  };
  let left;
  await until(async () => (left = await empty()).length === 0, () => `data for ${left.join("\n")}`, 40_000);
  t.diagnostic(`${expressions.length} expressions, of which ${expressions.filter(([, expr]) => quiet(expr)).length} are empty while all is well`);

  const { data } = await get("rules");
  const rules = data.groups.flatMap((group) => group.rules);
  assert.ok(rules.length >= 15);
  await until(async () => (await get("rules")).data.groups.every((group) => group.rules.every(({ health }) => health === "ok")), () => "evaluation of all alerts");
  const firing = (await get("alerts")).data.alerts.map(({ labels }) => labels.alertname);
  assert.deepEqual(firing, [], "a cluster that is well alarms nobody");
});
