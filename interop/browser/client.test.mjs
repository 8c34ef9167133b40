// The page's own client by itself: what goes in comes out, in order, whatever happens to the transport meanwhile.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { serverName, startBrowser, startServer } from "./harness.mjs";

const TRANSPORTS = [["polling"], ["polling", "websocket"], ["websocket"]];

describe(`the page's client on the ${serverName}`, () => {
  let browser;
  let server;
  before(async () => {
    browser = await startBrowser();
    server = await startServer();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** A document of the server with the client in it, and no page around. */
  async function blank() {
    const page = await browser.tab(`${server.url}style.css`);
    await page.evaluate(async (address) => {
      const { Socket } = await import(address);
      window.connect = (transports) =>
        new Promise((resolve) => {
          const socket = new Socket({ url: location.href, transports });
          socket.watch("status", (state) => state === "connected" && resolve(socket));
          socket.connect();
        });
      window.upgraded = (socket) =>
        socket.transport === "websocket" || new Promise((resolve) => socket.watch("stage", (stage) => stage === "upgrade" && resolve(true)));
    }, `${server.url}client.js`);
    return page;
  }

  for (const transports of TRANSPORTS) {
    test(`an ack brings back every kind of value: ${transports.join(" then ")}`, async () => {
      const page = await blank();
      const seen = await page.evaluate(async (transports) => {
        const socket = await window.connect(transports);
        if (transports.length > 1) await window.upgraded(socket);
        const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => index % 251);
        const plain = [null, true, -0.5, 9007199254740991, "", "naïve 🦊 \u2028 \u0000 \x1e", [], [[{}]], { "ключ": [1, null], __proto: 1 }];
        const [values, deep, empty, view, last] = await socket.request(
          "echo", plain, { a: [{ bytes }], b: bytes.subarray(0, 3) }, new ArrayBuffer(0), new Uint16Array([1, 258]), "end",
        );
        const same = (a, b) => a instanceof Uint8Array && a.length === b.length && a.every((byte, index) => byte === b[index]);
        const result = {
          plain: JSON.stringify(values) === JSON.stringify(plain),
          bytes: same(deep.a[0].bytes, bytes) && same(deep.b, bytes.subarray(0, 3)),
          empty: empty.length,
          view: [...view],
          last,
          transport: socket.transport,
        };
        socket.disconnect();
        return result;
      }, transports);
      assert.deepEqual(seen, { plain: true, bytes: true, empty: 0, view: [1, 0, 2, 1], last: "end", transport: transports.at(-1) });
      assert.deepEqual(browser.faults, []);
      await page.close();
    });
  }

  test("an upgrade in the middle of a stream loses and reorders nothing", async () => {
    const page = await blank();
    const observer = io(server.url, { transports: ["websocket"] });
    const observed = [];
    observer.on("item", (index, bytes) => observed.push([index, bytes?.length ?? 0]));
    await once(observer, "connect");
    await observer.emitWithAck("join", "stream");
    const COUNT = 400;
    const { received, moved } = await page.evaluate(async (count) => {
      const socket = await window.connect(["polling", "websocket"]);
      await socket.request("join", "stream");
      const received = [];
      const by = new Set();
      const all = new Promise((resolve) => {
        socket.on("item", (index, bytes) => {
          by.add(socket.transport);
          if (received.push([index, bytes?.length ?? 0]) === count) resolve();
        });
      });
      const upgrade = window.upgraded(socket);
      for (let index = 0; index < count; index += 1) {
        const bytes = index % 3 === 0 ? [new Uint8Array(index)] : [];
        socket.emit("publish", "stream", "item", index, ...bytes);
        // Bursts, so that some are sent before, some during and some after the upgrade.
        if (index === count / 2) await upgrade;
        else if (index % 20 === 0) await new Promise((resolve) => setTimeout(resolve));
      }
      await all;
      socket.disconnect();
      return { received, moved: by.has("websocket") };
    }, COUNT);
    const expected = Array.from({ length: COUNT }, (_, index) => [index, index % 3 === 0 ? index : 0]);
    assert.deepEqual(received, expected);
    assert.deepEqual(observed, expected);
    assert.ok(moved);
    observer.close();
    assert.deepEqual(browser.faults, []);
    await page.close();
  });

  test("batches over polling keep to the size that the server takes", async () => {
    const narrow = await startServer({ flags: ["--max-http-buffer-size", "2000"] });
    try {
      const page = await browser.tab(`${narrow.url}style.css`);
      const bodies = [];
      page.on("request", (request) => request.method() === "POST" && bodies.push(request.postDataBuffer()?.length ?? 0));
      const sum = await page.evaluate(async (address) => {
        const { Socket } = await import(address);
        const socket = new Socket({ url: location.href, transports: ["polling"] });
        await new Promise((resolve) => {
          socket.watch("status", (state) => state === "connected" && resolve());
          socket.connect();
        });
        const answers = await Promise.all(
          Array.from({ length: 40 }, (_, index) => socket.request("echo", index, "é".repeat(150), new Uint8Array(300))),
        );
        socket.disconnect();
        return answers.reduce((sum, [index, text, bytes]) => sum + index + text.length + bytes.length, 0);
      }, `${narrow.url}client.js`);
      assert.equal(sum, (39 * 40) / 2 + 40 * 450);
      assert.ok(Math.max(...bodies) <= 2000, `${Math.max(...bodies)}`);
      assert.ok(bodies.length > 10);
      assert.deepEqual(browser.faults, []);
      await page.close();
    } finally {
      await narrow.stop();
    }
  });
});
