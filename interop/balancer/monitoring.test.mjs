// What operators look at, against what nodes really export: every expression of the dashboard and of the alerts is asked of a
// real Prometheus that scrapes a real cluster.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { io } from "socket.io-client";
import { end, freePort, launch, running } from "../cluster/lib/process.mjs";
import { ask, event } from "../lib/clients.mjs";
import { until } from "../lib/wait.mjs";
import { Cluster } from "./lib/cluster.mjs";

const run = promisify(execFile);
const deploy = fileURLToPath(new URL("../../deploy/", import.meta.url));
const dashboard = JSON.parse(await readFile(path.join(deploy, "grafana/dashboards/socketio.json"), "utf8"));
const panels = dashboard.panels.filter(({ type }) => type !== "row");

/** Every expression of the dashboard with its place, as Grafana would send it. */
const expressions = [
  ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr])),
  ...dashboard.annotations.list.map(({ name, expr }) => [name, expr]),
].map(([title, expr]) => [title, expr.replaceAll("$__rate_interval", "10s").replaceAll("$__range", "1m").replaceAll("$job", "socketio").replaceAll("$instance", ".*")]);

/** Those that show something only when something is wrong, or with many clients. */
const quiet = (expr) => /(> 0|== 0)( or vector\(0\))?$/.test(expr) || expr.includes("> 100") || expr.startsWith("ALERTS");

let cluster, prometheus, folder, base;
const get = async (what, parameters) => (await fetch(`${base}/api/v1/${what}?${new URLSearchParams(parameters)}`)).json();

before(async () => {
  cluster = await Cluster.start("haproxy", "cookie", { env: { SOCKETIO_DRAIN_DELAY: "0s" } });
  folder = await mkdtemp(path.join(tmpdir(), "monitoring-"));
  await cp(path.join(deploy, "prometheus"), folder, { recursive: true });
  const config = (await readFile(path.join(folder, "prometheus.yml"), "utf8"))
    .replaceAll(": 5s", ": 1s")
    .replaceAll(/127\.0\.0\.1:300([123])/g, (_, n) => `127.0.0.1:${cluster.nodes[n - 1]}`);
  await writeFile(path.join(folder, "prometheus.yml"), config);
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
  await cluster?.end();
  if (folder) await rm(folder, { recursive: true, force: true });
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
  const page = await (await fetch(`${cluster.nodeUrl(0)}/metrics`)).text();
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

  const empty = async () => {
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
