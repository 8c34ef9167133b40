// The page of the stock node, driven as a person would. Against the official server by default; with SOCKETIO_NODE_BIN
// against our node.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, beforeEach, describe, test } from "node:test";
import { io } from "socket.io-client";
import { contrastFaults, overflowing, unnamedControls } from "./inspect.mjs";
import { picture, serverName, startBrowser, startServer, until } from "./harness.mjs";

const connected = (page) => page.waitForSelector("body[data-state=connected]");
const overWebSocket = (page) => page.getByText("By WebSocket.", { exact: true }).waitFor();

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

/** Waits until the text is in the log, confirmed by the node if it is our own. */
const hears = (page, text) => page.locator(".message:not(.unsure) .text", { hasText: text }).waitFor();

async function nameIs(page, name) {
  await page.fill("#name", name);
  await page.press("#name", "Tab");
}

/** A PNG made in the page: noise does not compress, so it is as large as it looks. */
async function png(page, width, height, noise = false) {
  const base64 = await page.evaluate(
    ([width, height, noise]) => {
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d");
      if (noise) {
        const pixels = context.createImageData(width, height);
        for (let at = 0; at < pixels.data.length; at += 65_536) crypto.getRandomValues(pixels.data.subarray(at, at + 65_536));
        for (let at = 3; at < pixels.data.length; at += 4) pixels.data[at] = 255;
        context.putImageData(pixels, 0, 0);
      } else {
        context.fillStyle = "rgb(30, 144, 255)";
        context.fillRect(0, 0, width, height);
      }
      return canvas.convertToBlob().then((blob) => new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result.split(",")[1]);
        reader.readAsDataURL(blob);
      }));
    },
    [width, height, noise],
  );
  return Buffer.from(base64, "base64");
}

const pick = (page, name, buffer, mimeType = "image/png") => page.setInputFiles("#file", { name, mimeType, buffer });

/** What the other page shows: size in pixels, and the very bytes. */
async function shownImage(page) {
  const image = page.locator(".message:not(.own) .picture img");
  await image.waitFor();
  await until(() => image.evaluate((node) => node.complete && node.naturalWidth > 0), "the image to be drawn");
  return image.evaluate(async (node) => {
    // By XMLHttpRequest the policy of the page would forbid it; a canvas tells the pixels.
    const canvas = new OffscreenCanvas(node.naturalWidth, node.naturalHeight);
    canvas.getContext("2d").drawImage(node, 0, 0);
    const [red, green, blue] = canvas.getContext("2d").getImageData(5, 5, 1, 1).data;
    return { width: node.naturalWidth, height: node.naturalHeight, pixel: [red, green, blue], alt: node.alt };
  });
}

const chooseTransport = (page, name) => page.getByRole("radio", { name, exact: true }).check();

describe(`the page on the ${serverName}`, () => {
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
  beforeEach(async () => {
    for (const page of browser.context.pages().slice(1)) await page.close();
    browser.faults.length = 0;
  });
  const noFaults = () => assert.deepEqual(browser.faults, []);

  test("two tabs chat", async () => {
    const one = await browser.tab(server.url);
    const two = await browser.tab(server.url);
    await Promise.all([connected(one), connected(two)]);
    await nameIs(one, "Ada");
    await nameIs(two, "Grace");
    await one.getByText("2 here").waitFor();

    await say(one, "Good morning 🦊 <b>&amp;");
    await hears(two, "Good morning 🦊 <b>&amp;");
    await two.fill("#text", "a line\nand another");
    await one.getByText("Grace is typing…").waitFor();
    await two.press("#text", "Enter");
    await hears(one, "a line\nand another");
    await hears(two, "a line\nand another");

    assert.equal(await two.locator(".message:not(.own) .name").innerText(), "Ada");
    assert.equal(await one.locator(".message").count(), 2, "our own message is shown once");
    noFaults();
  });

  test("polling is upgraded to WebSocket, and polls no more", async () => {
    const page = await browser.context.newPage();
    const polls = [];
    const frames = [];
    page.on("request", (request) => request.url().includes("transport=polling") && polls.push(request.method()));
    page.on("websocket", (socket) => {
      socket.on("framesent", ({ payload }) => frames.push(`> ${payload}`));
      socket.on("framereceived", ({ payload }) => frames.push(`< ${payload}`));
    });
    await page.goto(server.url);
    await overWebSocket(page);
    assert.deepEqual(frames.slice(0, 3), ["> 2probe", "< 3probe", "> 5"]);
    assert.ok(polls.includes("GET") && polls.includes("POST"), "the session was opened by polling");
    const steps = page.locator("#route li[data-reached]");
    assert.deepEqual(await steps.locator(".name").allInnerTexts(), ["Polling", "Namespace", "Probe", "WebSocket"]);
    assert.match(await steps.last().locator(".time").innerText(), /^\d+ ms$/);

    const before = polls.length;
    await say(page, "by WebSocket");
    await hears(page, "by WebSocket");
    assert.equal(polls.length, before);
    assert.ok(frames.some((frame) => frame.startsWith("> 42") && frame.includes("by WebSocket")));
    noFaults();
  });

  for (const transports of [["Upgrade", "Upgrade"], ["Polling", "WebSocket"], ["WebSocket", "Polling"], ["Polling", "Polling"]]) {
    test(`an image crosses from ${transports[0]} to ${transports[1]}`, async () => {
      const one = await browser.tab(server.url);
      const two = await browser.tab(server.url);
      await Promise.all([connected(one), connected(two)]);
      await chooseTransport(one, transports[0]);
      await chooseTransport(two, transports[1]);
      await Promise.all([connected(one), connected(two)]);
      await nameIs(one, "Ada");
      await one.getByText("2 here").waitFor();
      await pick(one, "blue.png", await png(one, 120, 80));
      assert.deepEqual(await shownImage(two), { width: 120, height: 80, pixel: [30, 144, 255], alt: "Image blue.png from Ada" });
      await one.locator(".message.own:not(.unsure) img").waitFor();
      noFaults();
    });
  }

  test("polling only opens no WebSocket, WebSocket only polls nothing", async () => {
    const page = await browser.tab(server.url);
    await overWebSocket(page);
    const seen = [];
    page.on("request", (request) => request.url().includes("transport=polling") && seen.push("polling"));
    page.on("websocket", () => seen.push("websocket"));
    await chooseTransport(page, "Polling");
    await page.getByText("By long-polling.", { exact: true }).waitFor();
    await say(page, "by polling");
    await hears(page, "by polling");
    assert.deepEqual([...new Set(seen)], ["polling"]);

    seen.length = 0;
    await chooseTransport(page, "WebSocket");
    await overWebSocket(page);
    await say(page, "by the other");
    await hears(page, "by the other");
    assert.deepEqual(seen.filter((transport) => transport === "websocket"), ["websocket"]);
    const steps = await page.locator("#route li[data-reached] .name").allInnerTexts();
    assert.deepEqual(steps, ["WebSocket", "Namespace"]);
    noFaults();
  });

  test("an image that is dropped is sent, and a large one is made to fit", async () => {
    const one = await browser.tab(server.url);
    const two = await browser.tab(server.url);
    await Promise.all([overWebSocket(one), overWebSocket(two)]);
    const large = await png(one, 1800, 1200, true);
    assert.ok(large.length > 4_000_000);
    const transfer = await one.evaluateHandle((base64) => {
      const transfer = new DataTransfer();
      const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
      transfer.items.add(new File([bytes], "noise.png", { type: "image/png" }));
      return transfer;
    }, large.toString("base64"));
    await one.dispatchEvent("#log", "dragover", { dataTransfer: transfer });
    assert.ok(await one.locator(".drop").isVisible());
    await one.dispatchEvent("#log", "drop", { dataTransfer: transfer });
    assert.ok(await one.locator(".drop").isHidden());
    const { width, height } = await shownImage(two);
    assert.ok(width <= 1600 && Math.abs(width / height - 1.5) < 0.02, `${width}×${height}`);

    await two.locator(".picture").click();
    await two.getByRole("dialog").waitFor();
    assert.equal(await two.locator("#viewer-save").getAttribute("download"), "noise.png");
    await two.keyboard.press("Escape");
    assert.ok(await two.locator("#viewer").isHidden());
    noFaults();
  });

  test("what is no image is refused with a word", async () => {
    const page = await browser.tab(server.url);
    await connected(page);
    await pick(page, "broken.png", Buffer.from("this is not an image"), "image/jpeg");
    await page.getByText("broken.png is not an image that this browser can read.").waitFor();
    assert.equal(await page.locator(".message").count(), 0);
    noFaults();
  });

  test("rooms keep their messages apart", async () => {
    const one = await browser.tab(server.url);
    const two = await browser.tab(`${server.url}#room=caf%C3%A9`);
    await Promise.all([connected(one), connected(two)]);
    await one.fill("#room", "café");
    await one.press("#room", "Enter");
    await one.getByPlaceholder("Write to café").waitFor();
    await one.getByText("2 here").waitFor();
    await one.getByRole("button", { name: /^lobby/ }).click();
    await say(two, "only here");
    await one.locator(".unread", { hasText: "1 new" }).waitFor();
    assert.match(await one.title(), /^\(1\) lobby/);
    assert.equal(await one.locator(".message").count(), 0, "the lobby shows nothing of it");
    await one.getByRole("button", { name: /^café/ }).click();
    await hears(one, "only here");
    assert.equal(new URL(one.url()).hash, "#room=caf%C3%A9");

    await one.getByRole("button", { name: "Leave café" }).click();
    await two.getByText("1 here").waitFor();
    await two.locator(".notice", { hasText: /left$/ }).waitFor();
    assert.equal(await one.getByRole("button", { name: /^café/ }).count(), 0);
    await one.getByRole("button", { name: "Leave lobby" }).click();
    await one.getByText("You are in no room. Join one above.").waitFor();
    noFaults();
  });

  test("a room that the node refuses is said so", async () => {
    const page = await browser.tab(server.url);
    await connected(page);
    await page.fill("#room", "@secret");
    await page.press("#room", "Enter");
    await page.getByRole("alert").waitFor();
    assert.match(await page.getByRole("alert").innerText(), /^@secret: /);
    await page.getByPlaceholder("Write to lobby").waitFor();
    noFaults();
  });

  for (const signal of ["SIGTERM", "SIGKILL"]) {
    test(`after a restart of the server by ${signal} the tabs come back to their room`, async () => {
      const restarted = await startServer();
      try {
        const one = await browser.tab(restarted.url);
        const two = await browser.tab(restarted.url);
        await Promise.all([overWebSocket(one), overWebSocket(two)]);
        const node = await one.locator("#node-id").innerText();
        await restarted.stop(signal);
        await one.getByRole("heading", { name: "Interrupted" }).waitFor();
        assert.match(await one.locator("#detail").innerText(), /Trying again in \d\.\d s\.$|Trying again now, attempt \d+\.$/);
        await picture(one, `${serverName}-interrupted`);
        await say(one, "while it was away");
        await one.locator(".message.unsure").waitFor();

        await restarted.start();
        await Promise.all([overWebSocket(one), overWebSocket(two)]);
        await one.getByText("2 here").waitFor();
        await hears(one, "while it was away");
        await say(two, "and after");
        await hears(one, "and after");
        assert.equal(await one.locator(".message").count(), 2);
        await until(async () => (await one.locator("#node-id").innerText()) !== node, "the id of the new node");
        noFaults();
      } finally {
        await restarted.stop();
      }
    });
  }

  test("what is written without a network arrives once, later", async () => {
    const one = await browser.tab(server.url);
    const two = await browser.tab(server.url);
    await Promise.all([overWebSocket(one), overWebSocket(two)]);
    const network = await browser.context.newCDPSession(one);
    const offline = (offline) =>
      network.send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
    await network.send("Network.enable");
    await offline(true);
    await one.getByRole("heading", { name: "Interrupted" }).waitFor();
    await one.getByText("Messages wait for the connection.").waitFor();
    await say(one, "from the tunnel");
    await pick(one, "tunnel.png", await png(one, 60, 40));
    assert.equal(await one.locator(".message.unsure").count(), 2);
    await two.getByText("1 here").waitFor();

    await offline(false);
    await overWebSocket(one);
    await hears(two, "from the tunnel");
    assert.deepEqual((await shownImage(two)).pixel, [30, 144, 255]);
    await until(async () => (await one.locator(".message.unsure").count()) === 0, "the confirmation");
    await say(one, "daylight");
    await hears(two, "daylight");
    assert.equal(await two.locator(".message").count(), 3);
    noFaults();
  });

  test("a silent server is noticed by its missing pings", async () => {
    const silent = await startServer({ flags: ["--ping-interval", "1s", "--ping-timeout", "2s"] });
    try {
      const page = await browser.tab(silent.url);
      await overWebSocket(page);
      // Longer than a server that hears no pongs would wait.
      await page.locator("#packets li.in code", { hasText: /^2$/ }).nth(3).waitFor();
      assert.equal(await page.locator("h1").innerText(), "Connected");
      // It is said only until the next attempt, perhaps for half a second.
      await page.evaluate(() => {
        const detail = document.getElementById("detail");
        globalThis.said = new Set();
        new MutationObserver(() => globalThis.said.add(detail.textContent)).observe(detail, { childList: true });
      });
      silent.freeze();
      const said = () => page.evaluate(() => [...globalThis.said]);
      await until(async () => (await said()).some((text) => text.startsWith("The node was silent for too long.")), "the reason", 30_000);
      silent.thaw();
      await overWebSocket(page);
      noFaults();
    } finally {
      silent.thaw();
      await silent.stop();
    }
  });

  test("a server without WebSocket is used by polling", async () => {
    const poor = await startServer({ flags: ["--transports", "polling"] });
    try {
      const page = await browser.tab(poor.url);
      await page.getByText("By long-polling.", { exact: true }).waitFor();
      assert.equal(await page.locator("#route li:last-child .time").innerText(), "not possible");
      await say(page, "still here");
      await hears(page, "still here");
      noFaults();
    } finally {
      await poor.stop();
    }
  });

  test("a failing upgrade leaves the session on polling", async () => {
    const page = await browser.context.newPage();
    await page.routeWebSocket(/transport=websocket/, (socket) => socket.close());
    await page.goto(server.url);
    await page.getByText("By long-polling.", { exact: true }).waitFor();
    await say(page, "without it");
    await hears(page, "without it");
    noFaults();
  });

  test("what is too large for this server is given up after three tries", async () => {
    const narrow = await startServer({ flags: ["--max-http-buffer-size", "1000"] });
    try {
      const page = await browser.tab(narrow.url);
      await overWebSocket(page);
      await say(page, "x".repeat(1500));
      await page.getByText("Not sent: the connection broke each time").waitFor();
      await overWebSocket(page);
      await say(page, "shorter");
      await hears(page, "shorter");
      noFaults();
    } finally {
      await narrow.stop();
    }
  });

  test("another path of the endpoint reaches the page", async () => {
    const elsewhere = await startServer({ flags: ["--path", "/live"] });
    try {
      const page = await browser.tab(elsewhere.url);
      await overWebSocket(page);
      assert.equal(await page.locator("meta[name=socketio-path]").getAttribute("content"), "/live/");
      noFaults();
    } finally {
      await elsewhere.stop();
    }
  });

  test("over TLS: wss, and polling by HTTP/2 where the server has it", async () => {
    const secure = await startServer({ tls: true });
    try {
      const page = await browser.context.newPage();
      const network = await browser.context.newCDPSession(page);
      await network.send("Network.enable");
      const protocols = new Set();
      network.on("Network.responseReceived", ({ response }) => response.url.includes("polling") && protocols.add(response.protocol));
      const sockets = [];
      page.on("websocket", (socket) => sockets.push(new URL(socket.url()).protocol));
      await page.goto(secure.url);
      await overWebSocket(page);
      await say(page, "by wss");
      await hears(page, "by wss");
      assert.deepEqual(sockets, ["wss:"]);
      await chooseTransport(page, "Polling");
      await page.getByText("By long-polling.", { exact: true }).waitFor();
      await say(page, "by polling");
      await hears(page, "by polling");
      assert.deepEqual([...protocols], [serverName === "node" ? "h2" : "http/1.1"]);
    } finally {
      await secure.stop();
    }
  });

  test("disconnecting is final until asked otherwise", async () => {
    const one = await browser.tab(server.url);
    const two = await browser.tab(server.url);
    await Promise.all([overWebSocket(one), overWebSocket(two)]);
    for (const transport of ["Upgrade", "Polling"]) {
      await chooseTransport(one, transport);
      await connected(one);
      await two.getByText("2 here").waitFor();
      await one.getByRole("button", { name: "Disconnect" }).click();
      await one.getByRole("heading", { name: "Disconnected" }).waitFor();
      await two.getByText("1 here").waitFor();
      await one.getByRole("button", { name: "Connect", exact: true }).click();
      await connected(one);
    }
    noFaults();
  });

  test("a tab that is closed is gone at once, by whatever transport", async () => {
    const two = await browser.tab(server.url);
    await overWebSocket(two);
    for (const transport of ["Upgrade", "Polling", "WebSocket"]) {
      const one = await browser.tab(server.url);
      await connected(one);
      await chooseTransport(one, transport);
      await connected(one);
      await two.getByText("2 here").waitFor();
      await one.close({ runBeforeUnload: true });
      await two.getByText("1 here").waitFor();
    }
    noFaults();
  });

  test("round trip and live counts are shown", async () => {
    const page = await browser.tab(server.url);
    await overWebSocket(page);
    await until(async () => /^\d+(\.\d)?$/.test(await page.locator("#latency").innerText()), "a round trip");
    assert.match(await page.locator("#node-id").innerText(), /^[0-9a-f]{16}$/);
    const count = (label) => page.locator("#counts div", { hasText: label }).locator("dd").innerText();
    await until(async () => (await count("By WebSocket")) === "1" && (await count("By polling")) === "0", "the connections");
    assert.equal(await count("Sockets"), "1");
    await page.locator("#counts div", { hasText: "Events in" }).locator("dd", { hasText: "/s" }).waitFor();
    noFaults();
  });

  test("a flood of images keeps the newest", async () => {
    const page = await browser.tab(server.url);
    await connected(page);
    const image = await png(page, 8, 8);
    const other = io(server.url);
    try {
      await once(other, "connect");
      for (let index = 0; index < 45; index += 1) {
        const data = { room: "lobby", id: `flood ${index}`, name: "Flood", file: `${index}.png`, type: "image/png" };
        await other.emitWithAck("publish", "lobby", "image", data, image);
      }
      await page.getByText("44.png, ").waitFor();
      assert.equal(await page.locator(".message .picture").count(), 40);
      await page.getByText("4.png is no longer kept here.", { exact: true }).waitFor();
      noFaults();
    } finally {
      other.close();
    }
  });

  test("nonsense from other clients does no harm", async () => {
    const page = await browser.tab(server.url);
    await connected(page);
    const other = io(server.url);
    try {
      await once(other, "connect");
      const odd = [null, 7, "text", [], {}, { room: 5 }, { room: "lobby" }, { room: "lobby", id: {}, name: 1, text: { a: 1 } }];
      for (const event of ["chat", "image", "notice", "typing", "stats"]) {
        for (const data of odd) await other.emitWithAck("publish", "lobby", event, data, "not bytes");
      }
      const svg = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`);
      await other.emitWithAck("publish", "lobby", "image", { room: "lobby", id: "svg", file: "x.svg", type: "image/svg+xml" }, svg);
      await other.emitWithAck("publish", "lobby", "image", { room: "lobby", id: "cut", file: "x.png", type: "image/png" }, Buffer.from("cut"));
      await other.emitWithAck("publish", "lobby", "chat", { room: "lobby", id: "long", name: "n".repeat(500), text: "x".repeat(50_000) });
      await other.emitWithAck("publish", "lobby", "chat", { room: "lobby", id: "html", name: "<i>", text: "<img src=x onerror=alert(1)>" });
      await hears(page, "<img src=x onerror=alert(1)>");
      await say(page, "unharmed");
      await hears(page, "unharmed");
      assert.equal(await page.locator(".message img").count(), 0);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
      noFaults();
    } finally {
      other.close();
    }
  });

  for (const [name, width, height, scheme] of [
    ["light", 1440, 900, "light"],
    ["dark", 1440, 900, "dark"],
    ["tablet", 900, 1100, "light"],
    ["phone-light", 360, 780, "light"],
    ["phone-dark", 360, 780, "dark"],
  ]) {
    test(`fits, is legible and is named: ${name}`, async () => {
      const page = await browser.tab(server.url, { width, height, scheme });
      const other = await browser.tab(server.url);
      await Promise.all([overWebSocket(page), overWebSocket(other)]);
      await nameIs(other, "Ada");
      await say(other, "A long word: " + "Donaudampfschifffahrt".repeat(6));
      await pick(other, "a picture with a rather long name, taken at the sea.png", await png(other, 900, 500));
      await page.locator(".message img").waitFor();
      await say(page, "I see it.");
      await page.fill("#room", "a second room");
      await page.press("#room", "Enter");
      await page.getByRole("button", { name: /^lobby/ }).click();
      await say(page, "And this.");
      await hears(page, "And this.");

      assert.deepEqual(await page.evaluate(overflowing), []);
      assert.deepEqual(await page.evaluate(unnamedControls), []);
      assert.deepEqual(await page.evaluate(contrastFaults), []);
      const [red] = (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g);
      assert.equal(Number(red) < 64, scheme === "dark");
      await picture(page, `${serverName}-${name}`, { fullPage: width < 768 });
      noFaults();
    });
  }

  test("it can be used without a mouse", async () => {
    const page = await browser.tab(server.url);
    await connected(page);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "conversation");
    const reached = new Set();
    for (let step = 0; step < 10; step += 1) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.className));
    }
    for (const control of ["open", "leave", "room", "log", "name", "text", "attach", "send"]) assert.ok(reached.has(control), control);
    noFaults();
  });
});
