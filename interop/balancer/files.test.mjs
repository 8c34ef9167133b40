// What of deploy/ is not run here, checked as far as its own programs can.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { io } from "socket.io-client";
import { end, launch } from "../cluster/lib/process.mjs";
import { ask, event } from "../lib/clients.mjs";
import { until } from "../lib/wait.mjs";
import { Cluster } from "./lib/cluster.mjs";

const run = promisify(execFile);
const top = fileURLToPath(new URL("../../", import.meta.url));
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const read = (file) => readFile(path.join(top, file), "utf8");
const files = async (folder) => (await readdir(path.join(top, folder))).map((file) => path.join(folder, file));

test("haproxy -c and nginx -t take every recipe", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "recipes-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const file of await files("deploy/haproxy")) await run("haproxy", ["-c", "-f", path.join(top, file)], { env });
  for (const file of await files("deploy/nginx")) {
    await run("nginx", ["-t", "-p", folder, "-g", "pid nginx.pid; error_log stderr;", "-c", path.join(top, file)], { env });
    const [descriptors, connections] = await Promise.all(["worker_rlimit_nofile", "worker_connections"].map(async (name) => Number(new RegExp(`${name} (\\d+);`).exec(await read(file))[1])));
    assert.ok(descriptors > connections, `${file}: descriptors for its connections`);
  }
});

test("no timeout of a recipe cuts off an idle client", async () => {
  // Ping interval and timeout of a node by default.
  const idle = 25 + 20;
  for (const file of await files("deploy/haproxy")) {
    const config = await read(file);
    for (const kind of ["client", "server", "tunnel"]) assert.ok(Number(new RegExp(`timeout ${kind} (\\d+)s`).exec(config)[1]) > idle, `${file}: ${kind}`);
  }
  for (const file of await files("deploy/nginx")) {
    const config = await read(file);
    for (const kind of ["read", "send"]) assert.ok(Number(new RegExp(`proxy_${kind}_timeout (\\d+)s`).exec(config)[1]) > idle, `${file}: ${kind}`);
  }
  assert.ok(Number(/readTimeout: (\d+)s/.exec(await read("deploy/traefik/traefik.yml"))[1]) > idle, "traefik");
});

/** A YAML file with one or several documents, by Python, which knows YAML. */
async function yaml(text) {
  const program = "import json,sys,yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
  return JSON.parse(await withInput(path.join(top, "interop/.venv/bin/python"), ["-c", program], text));
}

function withInput(command, args, input) {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { env }, (error, stdout, stderr) => (error ? reject(new Error(`${command}: ${stderr}`)) : resolve(stdout)));
    child.stdin.end(input);
  });
}

const seconds = (text) => {
  const units = { s: 1, m: 60, h: 3_600 };
  return [...String(text).matchAll(/(\d+)([smh])/g)].reduce((sum, [, number, unit]) => sum + number * units[unit], 0);
};

/** That a node takes these variables. */
async function nodeTakes(variables) {
  const plain = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SOCKETIO_")));
  await run(process.env.SOCKETIO_NODE_BIN, ["--check-config"], { env: { ...plain, ...variables } });
}

const profiles = [[], ["rabbitmq"], ["mixed"], ["emit"], ["tracing"], ["loadtest"], ["rabbitmq", "mixed", "emit", "tracing", "loadtest"]];

test("docker-compose takes every profile", async () => {
  for (const chosen of profiles) {
    const flags = chosen.flatMap((profile) => ["--profile", profile]);
    await run("docker-compose", ["-f", path.join(top, "docker-compose.yml"), ...flags, "config", "-q"], { env });
  }
});

test("docker-compose.yml: health checks, restarts, descriptors, versions, mounted files, and time for the drain", async () => {
  const [compose] = await yaml(await read("docker-compose.yml"));
  assert.deepEqual([...new Set(Object.values(compose.services).flatMap(({ profiles = [] }) => profiles))].sort(), [...new Set(profiles.flat())].sort());
  for (const [name, service] of Object.entries(compose.services)) {
    assert.ok(service.healthcheck, `${name}: health check`);
    // A load test is a run, not a service.
    assert.equal(service.restart, name === "loadtest" ? "no" : "unless-stopped", name);
    assert.match(service.image, /:\d+\.\d+\.\d+|:v\d+\.\d+\.\d+/, `${name}: a version`);
    for (const volume of service.volumes ?? []) {
      const [source] = volume.split(":");
      await readdir(path.join(top, source)).catch(() => read(source));
    }
  }
  for (const name of ["node", "balancer", "redis", "rabbitmq"]) assert.ok(compose.services[name].ulimits.nofile.hard >= 65_536, name);
  const { node } = compose.services;
  // Whoever scales it must not find a name or a port taken.
  assert.deepEqual([node.container_name, node.ports], [undefined, undefined]);
  const { environment } = node;
  assert.ok(seconds(node.stop_grace_period) > seconds(environment.SOCKETIO_DRAIN_GRACE));
  assert.ok(seconds(environment.SOCKETIO_DRAIN_GRACE) > seconds(environment.SOCKETIO_DRAIN_WINDOW) + seconds(environment.SOCKETIO_DRAIN_DELAY));
  for (const adapter of ["redis", "amqp"]) {
    for (const endpoint of ["", "http://collector:4318"]) await nodeTakes({ ...environment, SOCKETIO_ADAPTER: adapter, SOCKETIO_OTLP_ENDPOINT: endpoint });
  }
});

test("the collector of the profile `tracing` listens where the compose file sends, and hands on to its Jaeger", async () => {
  const [[{ services }], [collector]] = await Promise.all(["docker-compose.yml", "deploy/otel/collector.yml"].map(async (file) => yaml(await read(file))));
  const { grpc, http } = collector.receivers.otlp.protocols;
  assert.deepEqual([grpc.endpoint, http.endpoint], ["0.0.0.0:4317", "0.0.0.0:4318"]);
  assert.match(await read("docker-compose.yml"), /OTLP_ENDPOINT=http:\/\/collector:4318 docker compose/);
  const { receivers, processors, exporters } = collector.service.pipelines.traces;
  for (const [kind, used] of Object.entries({ receivers, processors, exporters })) assert.deepEqual(Object.keys(collector[kind]), used, kind);
  assert.ok(services[collector.exporters[exporters[0]].endpoint.split(":")[0]]);
  for (const name of ["collector", "jaeger"]) assert.deepEqual(services[name].profiles, ["tracing"]);
});

test("the image is built from every crate, its dependencies apart", async () => {
  const [dockerfile, workspace, ignored] = await Promise.all([read("Dockerfile"), read("Cargo.toml"), read(".dockerignore")]);
  const [, list] = /^members = \[(.*)\]$/m.exec(workspace);
  const crates = [...list.matchAll(/"([^"]+)"/g)].map(([, crate]) => crate);
  assert.ok(crates.length >= 6);
  for (const crate of crates) {
    assert.ok(dockerfile.includes(`COPY ${crate}/Cargo.toml ${crate}/\n`), `${crate}: manifest`);
    assert.ok(dockerfile.includes(`COPY ${crate} ${crate}\n`), `${crate}: sources`);
    assert.ok(ignored.includes(`!${crate}\n`), `${crate}: .dockerignore`);
  }
  assert.doesNotMatch(dockerfile, /FROM \S+:latest|FROM [^:\s]+(\s|$)/m);
  assert.match(dockerfile, /^USER nonroot$/m);
  // A node takes the client's folder as the image has it: its version is in the file beside it.
  const [, folder] = /SOCKETIO_CLIENT_DIR=(\S+)/.exec(dockerfile);
  const place = Object.fromEntries([...dockerfile.matchAll(/^COPY --from=client \S*socket\.io-client\/(\S+) (\S+)$/gm)].map(([, source, target]) => [source, target]));
  assert.deepEqual(place, { dist: folder, "package.json": `${path.dirname(folder)}/` });
  await nodeTakes({ SOCKETIO_CLIENT_DIR: path.join(top, "interop/node_modules/socket.io-client/dist") });
});

test("Kubernetes: the published schemas, and time for the drain", async (t) => {
  const file = path.join(top, "deploy/kubernetes/socketio.yml");
  const documents = await yaml(await readFile(file, "utf8"));
  assert.deepEqual(documents.map(({ kind }) => kind), ["Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Ingress"]);
  const versions = ["1.29", "1.33", "1.37"];
  for (const version of versions) {
    const { stdout, stderr } = await run(path.join(top, "interop/.venv/bin/kubernetes-validate"), ["--strict", "-k", version, file]);
    assert.equal((stdout + stderr).match(/passed for resource/g)?.length, documents.length, stdout + stderr);
  }
  t.diagnostic(`schemas of Kubernetes ${versions}`);
  const pod = documents[0].spec.template.spec;
  const [node] = pod.containers;
  const environment = Object.fromEntries(node.env.map(({ name, value }) => [name, value]));
  await nodeTakes(environment);
  const before = Number(node.lifecycle.preStop.exec.command.at(-1));
  assert.ok(pod.terminationGracePeriodSeconds > before + seconds(environment.SOCKETIO_DRAIN_GRACE));
  assert.deepEqual([node.livenessProbe.httpGet.path, node.readinessProbe.httpGet.path], ["/healthz", "/readyz"]);
});

test("systemd takes the unit", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "unit-"));
  t.after(() => rm(folder, { recursive: true }));
  const unit = (await read("deploy/systemd/socketio-server.service")).replaceAll("/usr/local/bin/socketio-server", process.env.SOCKETIO_NODE_BIN);
  await writeFile(path.join(folder, "socketio-server.service"), unit);
  const { stderr } = await run("systemd-analyze", ["verify", path.join(folder, "socketio-server.service")]);
  assert.equal(stderr, "");
});

test("the Node.js server of the profile `mixed` is a member of the cluster", async (t) => {
  const [mixed, interop] = (await Promise.all([read("deploy/mixed/package.json"), read("interop/package.json")])).map((text) => JSON.parse(text));
  for (const [name, version] of Object.entries(mixed.dependencies)) assert.equal(interop.devDependencies[name], version, `${name}: the version that is tested`);
  // Where Node.js finds these packages.
  const folder = path.join(top, "interop/out/mixed");
  await mkdir(folder, { recursive: true });
  await cp(path.join(top, "deploy/mixed/server.mjs"), path.join(folder, "server.mjs"));
  const cluster = await Cluster.start("haproxy", "cookie", { env: { SOCKETIO_DRAIN_DELAY: "0s" } });
  t.after(() => cluster.end());
  const redis = /redis (\d+),/.exec(cluster.log)[1];
  const server = launch("node", [path.join(folder, "server.mjs")], { env: { ...process.env, REDIS_URL: `redis://127.0.0.1:${redis}`, PORT: "0" } });
  t.after(() => end(server, "SIGKILL"));
  await until(() => /listening on (\S+)/.test(server.log), () => `server: ${server.log}`);
  const theirs = io(/listening on (\S+)/.exec(server.log)[1], { forceNew: true });
  const ours = io(cluster.nodeUrl(0), { forceNew: true });
  t.after(() => [theirs, ours].forEach((socket) => socket.disconnect()));
  await Promise.all([theirs, ours].map((socket) => event(socket, "connect")));
  for (const socket of [theirs, ours]) await ask(socket, "join", "both");
  for (const from of [theirs, ours]) {
    const heard = [theirs, ours].map((socket) => event(socket, "news"));
    await ask(from, "publish", "both", "news", 7);
    assert.deepEqual(await Promise.all(heard), [[7], [7]]);
  }
});
