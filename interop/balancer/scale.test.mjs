// The balancer of docker-compose.yml, with nodes that come and go: found by name, as with `docker compose up --scale`.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { end, launch } from "../cluster/lib/process.mjs";
import { event } from "../lib/clients.mjs";
import { freePort } from "../lib/ports.mjs";
import { until } from "../lib/wait.mjs";
import { Jar, PollingClient } from "./lib/browser.mjs";
import { Names } from "./lib/names.mjs";

const recipe = fileURLToPath(new URL("../../deploy/haproxy/compose.cfg", import.meta.url));
// Where programs are is for the tests; a node refuses variables that it does not know.
const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("SOCKETIO_"));
const env = { ...Object.fromEntries(inherited), PATH: `${process.env.PATH}:/usr/sbin:/sbin`, SOCKETIO_DRAIN_DELAY: "3s", SOCKETIO_DRAIN_GRACE: "20s" };

test("nodes that come and go, and one at the address of an earlier one", async (t) => {
  const [inside, port, alive] = [await freePort(), await freePort(), await freePort()];
  const nodes = new Map();
  /** A container: the same port as all others, and an address of its own. */
  const start = async (address) => {
    const node = launch(process.env.SOCKETIO_NODE_BIN, ["--host", address, "--port", String(inside)], { env });
    nodes.set(address, node);
    await until(() => /listening/.test(node.log), () => `node: ${node.log}`);
  };
  const stop = async (address) => {
    await end(nodes.get(address), "SIGTERM");
    nodes.delete(address);
  };
  t.after(() => Promise.all([...nodes.values()].map((node) => end(node, "SIGKILL"))));

  const three = ["127.0.1.1", "127.0.1.2", "127.0.1.3"];
  await Promise.all(three.map(start));
  const names = await Names.start({ node: three });
  t.after(() => names.end());

  const folder = await mkdtemp(path.join(tmpdir(), "scale-"));
  t.after(() => rm(folder, { recursive: true }));
  const config = (await readFile(recipe, "utf8"))
    .replace("127.0.0.11:53", `127.0.0.1:${names.port}`)
    .replaceAll(/(node|nodejs):3000/g, `$1:${inside}`)
    .replace("bind :8080", `bind 127.0.0.1:${port}`)
    .replace("bind :8404", `bind 127.0.0.1:${alive}`);
  await writeFile(path.join(folder, "haproxy.cfg"), config);
  const balancer = launch("haproxy", ["-db", "-f", path.join(folder, "haproxy.cfg")], { env });
  t.after(() => end(balancer, "SIGTERM"));

  /** How many different nodes new clients come to, and whether all of them are served to the end. */
  const served = async (count) => {
    const jars = Array.from({ length: count * 4 }, () => new Jar());
    await Promise.all(
      jars.map(async (jar) => {
        const client = await new PollingClient({ port }, { jar }).open();
        await client.echo("x");
        await client.request("POST", "1");
      }),
    );
    return new Set(jars.map((jar) => jar.cookies.get("SIO"))).size;
  };
  const findsExactly = (count) => until(async () => (await served(count).catch(() => 0)) === count, () => `${count} nodes: ${balancer.log}`, 20_000);
  await findsExactly(3);

  // `--scale node=5`
  const five = [...three, "127.0.1.4", "127.0.1.5"];
  await Promise.all(five.slice(3).map(start));
  names.addresses.node = five;
  await findsExactly(5);

  // And back: the name has them no longer only when they have ended.
  const sockets = Array.from({ length: 20 }, () => io(`http://127.0.0.1:${port}`, { forceNew: true, transports: ["polling"], withCredentials: true }));
  t.after(() => sockets.forEach((socket) => socket.disconnect()));
  await Promise.all(sockets.map((socket) => event(socket, "connect")));
  const reasons = [];
  for (const socket of sockets) socket.on("disconnect", (reason) => reasons.push(reason));
  await Promise.all(five.slice(3).map(stop));
  names.addresses.node = three;
  await until(() => sockets.every(({ connected }) => connected), () => `${reasons}`, 20_000);
  assert.ok(reasons.length > 0, "some were on those nodes");
  assert.deepEqual([...new Set(reasons)], ["transport close"], "told by their node, and not refused");
  await findsExactly(3);

  // Another container gets the address of one that is gone: `docker compose --profile mixed up`.
  await start("127.0.1.4");
  names.addresses.nodejs = ["127.0.1.4"];
  await findsExactly(4);
});
