// What of deploy/ is not run here, checked as far as its own programs can.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const top = fileURLToPath(new URL("../../", import.meta.url));
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const read = (file) => readFile(path.join(top, file), "utf8");
const files = async (folder) => (await readdir(path.join(top, folder))).map((file) => path.join(folder, file));

test("haproxy -c and nginx -t take every recipe", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "recipes-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const file of await files("deploy/haproxy")) await run("haproxy", ["-c", "-f", path.join(top, file)], { env });
  for (const file of await files("deploy/nginx")) await run("nginx", ["-t", "-p", folder, "-g", "pid nginx.pid; error_log stderr;", "-c", path.join(top, file)], { env });
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
});
