// Makes the pictures of the page that the README shows: docs/page-light.png and docs/page-phone-dark.png.

import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { startBrowser, startServer, until } from "./harness.mjs";

const DOCS = fileURLToPath(new URL("../../docs/", import.meta.url));

/** An evening in the hills, drawn so that the repository needs no photo. */
function paintScene() {
  const canvas = new OffscreenCanvas(900, 480);
  const context = canvas.getContext("2d");
  const sky = context.createLinearGradient(0, 0, 0, 480);
  for (const [stop, colour] of [[0, "#f3cf9f"], [0.5, "#e79a7f"], [1, "#7d6a86"]]) sky.addColorStop(stop, colour);
  context.fillStyle = sky;
  context.fillRect(0, 0, 900, 480);
  context.fillStyle = "#fff1d0";
  context.beginPath();
  context.arc(610, 190, 52, 0, 7);
  context.fill();
  ["#6b6f92", "#4a5b80", "#31456a", "#1f2f4f"].forEach((colour, layer) => {
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(0, 480);
    for (let x = 0; x <= 900; x += 4) {
      context.lineTo(x, 280 + layer * 48 + Math.sin(x / (110 - 14 * layer) + layer * 1.9) * (34 - 4 * layer) + Math.sin(x / 31 + layer) * 5);
    }
    context.lineTo(900, 480);
    context.fill();
  });
  return canvas.convertToBlob().then(async (blob) => Array.from(new Uint8Array(await blob.arrayBuffer())));
}

async function enter(page, name) {
  await page.getByText("By WebSocket.", { exact: true }).waitFor();
  await page.fill("#name", name);
  await page.press("#name", "Tab");
}

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
  await page.locator(".message.own:not(.unsure) .text", { hasText: text }).waitFor();
}

const browser = await startBrowser();
const server = await startServer();
try {
  const desk = await browser.tab(server.url, { width: 1360, height: 856 });
  const phone = await browser.tab(server.url, { width: 360, height: 740, scheme: "dark" });
  const third = await browser.tab(server.url);
  await enter(desk, "Steady Curlew");
  await enter(phone, "Wild Wren");
  await enter(third, "Early Plover");
  await third.locator("[value=polling]").check();
  await third.getByText("By long-polling.", { exact: true }).waitFor();
  await desk.getByText("3 here").waitFor();
  await desk.fill("#room", "harbour");
  await desk.press("#room", "Enter");
  await desk.getByRole("button", { name: /^lobby/ }).click();

  await say(desk, "Good evening. Who is here?");
  await say(third, "Me, by polling only.");
  await say(phone, "And I, on a phone. Look:");
  const scene = Buffer.from(await phone.evaluate(paintScene));
  await phone.setInputFiles("#file", { name: "evening.png", mimeType: "image/png", buffer: scene });
  for (const page of [desk, third]) await page.locator(".message:not(.own) img").waitFor();
  await say(desk, "It arrived in one piece.");
  // Long enough for a trace that looks like one.
  await until(async () => Number(/of (\d+)$/.exec(await desk.locator("#spread").innerText())?.[1]) >= 45, "the trace", 90_000);

  await mkdir(DOCS, { recursive: true });
  await desk.evaluate(() => document.activeElement.blur());
  await phone.evaluate(() => document.activeElement.blur());
  await desk.screenshot({ path: `${DOCS}page-light.png` });
  await phone.evaluate(() => scrollTo(0, 0));
  await phone.screenshot({ path: `${DOCS}page-phone-dark.png` });
} finally {
  await browser.close();
  await server.stop();
}
