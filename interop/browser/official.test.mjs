// The official client as a node serves it under /socket.io/, in a browser: as a classic script and as a module, in one
// room with a python-socketio client and with the page of the stock node.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { serverName, startBrowser, startServer, until } from "./harness.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const DIST = here("node_modules/socket.io-client/dist");
const venv = here("../.venv/bin/python");
const PYTHON = process.env.INTEROP_PYTHON ?? (existsSync(venv) ? venv : "python3");

// Each bundle, and how a page gets `io` out of it.
const classic = (file) => async (page) => {
  await page.addScriptTag({ url: `/socket.io/${file}` });
};
const module = (file) => async (page) => {
  await page.evaluate(async (address) => (window.io = (await import(address)).io), new URL(`/socket.io/${file}`, page.url()).href);
};
const BUNDLES = [
  ["classic script", classic("socket.io.js")],
  ["minified classic script", classic("socket.io.min.js")],
  ["module", module("socket.io.esm.min.js")],
];

/** Every type of JSON, and text beyond the BMP. */
const VALUES = [null, true, -1.5e-7, 9007199254740991, "", "naïve 🦊 \u2028 \u0000", [], [[1], {}], { "": { deep: [null, { "ключ": "值" }] } }];

async function startPeer(url, room) {
  const child = spawn(PYTHON, [here("peer.py"), url, room], { stdio: ["pipe", "pipe", "pipe"] });
  const heard = [];
  let stderr = "";
  child.stderr.on("data", (chunk) => (stderr += chunk));
  createInterface({ input: child.stdout }).on("line", (line) => heard.push(JSON.parse(line)));
  const hears = (event) =>
    until(() => {
      if (child.exitCode) throw new Error(`the python client ended: ${stderr}`);
      const at = heard.findIndex((entry) => entry.event === event);
      return at >= 0 && heard.splice(at, 1)[0].args;
    }, `${event} at the python client, which heard ${JSON.stringify(heard)}`);
  const publish = (event, ...args) => child.stdin.write(`${JSON.stringify({ event, args })}\n`);
  const stop = async () => {
    if (child.exitCode !== null) return;
    const exit = once(child, "exit");
    child.stdin.end();
    await exit;
  };
  await hears("joined");
  return { hears, publish, stop };
}

describe(`the official client in a browser, served by the ${serverName}`, () => {
  let browser;
  let server;
  before(async () => {
    browser = await startBrowser();
    server = await startServer({ flags: ["--client-dir", DIST] });
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  for (const [name, load] of BUNDLES) {
    for (const transports of [["polling", "websocket"], ["polling"], ["websocket"]]) {
      test(`${name}, ${transports.join(" then ")}`, async () => {
        const room = `${name} ${transports}`;
        const peer = await startPeer(server.url, room);
        const page = await browser.context.newPage();
        try {
          // Any document of this origin will do. One made up by the test would have no address of its own, from which
          // Chromium allows no WebSocket to this machine.
          await page.goto(`${server.url}style.css`);
          await load(page);
          await page.evaluate(
            ([room, transports]) =>
              new Promise((resolve, reject) => {
                window.heard = [];
                window.socket = window.io({ transports, forceNew: true });
                window.socket.onAny((event, ...args) => window.heard.push([event, ...args]));
                window.socket.on("connect_error", reject);
                window.socket.on("connect", () => window.socket.emitWithAck("join", room).then(resolve, reject));
              }),
            [room, transports],
          );
          const used = transports.at(-1);
          await page.waitForFunction((used) => window.socket.io.engine.transport.name === used, used);

          // An ack brings back what went in, bytes deep inside included.
          const echoed = await page.evaluate(async (values) => {
            const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
            const [answer, ...rest] = await new Promise((resolve) => {
              window.socket.emit("echo", { values, deep: [{ bytes }] }, new Uint8Array(0), 7, (...args) => resolve(args));
            });
            const same = new Uint8Array(answer.deep[0].bytes).every((byte, index) => byte === index);
            return { values: answer.values, same, size: answer.deep[0].bytes.byteLength, empty: rest[0].byteLength, last: rest[1] };
          }, VALUES);
          assert.deepEqual(echoed, { values: VALUES, same: true, size: 256, empty: 0, last: 7 });

          // To Python, and back to the sender, who is in the room too.
          const answer = await page.evaluate(
            ([room, values]) => window.socket.emitWithAck("publish", room, "to python", values, new Uint8Array([0, 30, 255])),
            [room, VALUES],
          );
          assert.deepEqual(answer, { room, event: "to python" });
          assert.deepEqual(await peer.hears("to python"), [VALUES, { hex: "001eff" }]);
          await page.waitForFunction(() => window.heard.some(([event, , bytes]) => event === "to python" && bytes.byteLength === 3));

          // From Python, in order.
          for (let index = 0; index < 20; index += 1) peer.publish("from python", index, { hex: "00ff".repeat(index) }, VALUES);
          await page.waitForFunction(() => window.heard.filter(([event]) => event === "from python").length === 20);
          const fromPython = await page.evaluate(() =>
            window.heard.filter(([event]) => event === "from python").map(([, index, bytes, values]) => [index, bytes.byteLength, values]),
          );
          assert.deepEqual(fromPython, Array.from({ length: 20 }, (_, index) => [index, 2 * index, VALUES]));
          await peer.hears("from python");

          // The client comes back by itself after its transport broke, as a new socket.
          const [first, second] = await page.evaluate(async () => {
            const before = window.socket.id;
            window.socket.io.engine.close();
            await new Promise((resolve) => window.socket.once("connect", resolve));
            return [before, window.socket.id];
          });
          assert.notEqual(first, second);
          await page.evaluate(() => window.socket.disconnect());
        } finally {
          await page.close();
          await peer.stop();
        }
      });
    }
  }

  test("the bundle is found beside the server, and comes with a validator", async () => {
    const plain = await startServer();
    try {
      for (const [file, type] of [["socket.io.js", /javascript/], ["socket.io.esm.min.js", /javascript/], ["socket.io.min.js.map", /json/]]) {
        const response = await fetch(`${plain.url}socket.io/${file}`);
        assert.equal(response.status, 200, file);
        assert.match(response.headers.get("content-type"), type);
        assert.ok((await response.arrayBuffer()).byteLength > 10_000);
        const again = await fetch(response.url, { headers: { "if-none-match": response.headers.get("etag") } });
        assert.equal(again.status, 304);
      }
    } finally {
      await plain.stop();
    }
  });

  test("the page and a python client understand each other", async () => {
    const peer = await startPeer(server.url, "lobby");
    const page = await browser.tab(server.url);
    try {
      await page.getByText("2 here").waitFor();
      await page.fill("#text", "Hello, Python 🐍");
      await page.press("#text", "Enter");
      const [{ id, at, from, name, ...said }] = await peer.hears("chat");
      assert.deepEqual(said, { room: "lobby", text: "Hello, Python 🐍" });
      assert.ok(id && at && from && name);

      peer.publish("chat", { room: "lobby", id: "1", from: "peer", name: "Python", text: "Hello, page" });
      await page.locator(".message:not(.own) .text", { hasText: "Hello, page" }).waitFor();

      const png = await page.evaluate(async () => {
        const canvas = new OffscreenCanvas(3, 2);
        canvas.getContext("2d").fillRect(0, 0, 3, 2);
        const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
        return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      });
      peer.publish("image", { room: "lobby", id: "2", from: "peer", name: "Python", file: "dot.png", type: "image/png" }, { hex: png });
      const image = page.locator(".message:not(.own) img");
      await image.waitFor();
      await until(() => image.evaluate((node) => node.naturalWidth === 3 && node.naturalHeight === 2), "the image");

      await page.setInputFiles("#file", { name: "dot.png", mimeType: "image/png", buffer: Buffer.from(png, "hex") });
      assert.deepEqual((await peer.hears("image"))[1], { hex: png }, "the very bytes");
      assert.deepEqual(browser.faults, []);
    } finally {
      await page.close();
      await peer.stop();
    }
  });
});
