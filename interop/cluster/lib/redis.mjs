// Redis as one server, as a cluster of three masters, and as a master with a replica and a Sentinel.

import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { createClient } from "redis";
import { freePort } from "../../lib/ports.mjs";
import { until } from "../../lib/wait.mjs";
import { Broker, answers, begin, launch, running } from "./process.mjs";

const SLOTS = 16_384;
/** A cluster finds itself only after some rounds of gossip. */
const WHOLE = 30_000;

class Redis extends Broker {
  /** @param {string[]} extra further arguments */
  constructor(...extra) {
    super();
    this.extra = extra;
  }

  async prepare() {
    this.port = await freePort();
    this.url = `redis://127.0.0.1:${this.port}`;
  }

  async start() {
    const args = ["--port", this.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", this.folder, "--daemonize", "no", ...this.extra];
    await this.launch(args.map(String));
  }

  async launch(args) {
    this.child = launch("redis-server", args);
    await until(
      () => running(this.child) ? answers(this.port, "PING\r\n", /^\+PONG/) : Promise.reject(new Error(`redis-server: ${this.child.log}`)),
      () => `redis-server: ${this.child.log}`,
    );
  }

  /** The answers to commands, one after the other. */
  async ask(...commands) {
    const client = await createClient({ url: this.url }).on("error", () => {}).connect();
    try {
      const found = [];
      for (const command of commands) found.push(await client.sendCommand(command.map(String)));
      return found;
    } finally {
      client.destroy();
    }
  }
}

/** Something made of several servers, each in a folder of its own. */
class Several extends Broker {
  async member(name, server) {
    server.folder = path.join(this.folder, name);
    await mkdir(server.folder);
    await server.prepare();
    return server;
  }

  async kill() {
    await Promise.all(this.servers.map((server) => server.kill()));
  }

  get alive() {
    return this.servers.filter(({ child }) => running(child));
  }

  pause() {
    this.alive.forEach((server) => server.pause());
  }

  resume() {
    this.alive.forEach((server) => server.resume());
  }
}

class RedisCluster extends Several {
  async prepare() {
    this.buses = [await freePort(), await freePort(), await freePort()];
    const options = (bus) => ["--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", 2_000];
    const servers = this.buses.map((bus, index) => this.member(`${index}`, new Redis(...options(bus))));
    this.servers = await Promise.all(servers);
    this.url = `redis-cluster://${this.servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
  }

  async start() {
    await Promise.all(this.servers.map((server) => server.start()));
    if (!this.made) await this.make();
    this.made = true;
    const isWhole = async (server) => /cluster_state:ok[^]*cluster_known_nodes:3/.test((await server.ask(["CLUSTER", "INFO"]))[0]);
    await until(async () => (await Promise.all(this.servers.map(isWhole))).every(Boolean), () => "whole Redis Cluster", WHOLE);
  }

  async make() {
    const border = (index) => Math.floor((index * SLOTS) / this.servers.length);
    await Promise.all(this.servers.map((server, index) => server.ask(["CLUSTER", "ADDSLOTSRANGE", border(index), border(index + 1) - 1])));
    const meet = this.servers.slice(1).map(({ port }, index) => ["CLUSTER", "MEET", "127.0.0.1", port, this.buses[index + 1]]);
    await this.servers[0].ask(...meet);
  }
}

class RedisSentinel extends Several {
  async prepare() {
    const first = await this.member("first", new Redis());
    const second = await this.member("second", new Redis("--replicaof", "127.0.0.1", first.port, "--repl-diskless-sync-delay", 0));
    this.sentinel = await this.member("sentinel", new Redis());
    this.servers = [first, second, this.sentinel];
    this.master = first;
    this.url = `redis+sentinel://127.0.0.1:${this.sentinel.port}/0/service`;
  }

  /** Node's members are told the first master, so they are not for suites in which it ends. */
  get nodeUrl() {
    return this.servers[0].url;
  }

  async start() {
    const [first, second] = this.servers;
    await first.start();
    await second.start();
    const lines = [
      `port ${this.sentinel.port}`,
      "bind 127.0.0.1",
      `dir ${this.sentinel.folder}`,
      `sentinel monitor service 127.0.0.1 ${first.port} 1`,
      "sentinel down-after-milliseconds service 500",
      "sentinel failover-timeout service 3000",
    ];
    const file = path.join(this.sentinel.folder, "sentinel.conf");
    await writeFile(file, lines.join("\n"));
    await this.sentinel.launch([file, "--sentinel"]);
    await until(async () => (await this.sentinel.ask(["SENTINEL", "REPLICAS", "service"]))[0].length === 1, () => "Sentinel that knows both", WHOLE);
  }

  /** The master dies, the replica takes its place; over when the Sentinel says so. */
  async restart() {
    const { port } = this.master;
    await this.master.kill();
    const moved = async () => {
      const [[, now]] = await this.sentinel.ask(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "service"]);
      return Number(now) !== port && Number(now);
    };
    const now = await until(moved, () => "new master", WHOLE);
    this.master = this.servers.find((server) => server.port === now);
  }
}

/** A Redis of this suite's own; ends with it. */
export const startRedis = () => begin(new Redis());

/** Three masters without replicas. */
export const startRedisCluster = () => begin(new RedisCluster());

/** A master with a replica, watched by a Sentinel. */
export const startRedisSentinel = () => begin(new RedisSentinel());
