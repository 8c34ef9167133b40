// What the browser tests share: a server under test, and Chromium.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { get as getSecurely } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { freePort } from "../lib/ports.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const OUT = here("../out/");
const REFERENCE = here("reference.mjs");
// The server under test: our node when its binary is named, else the official server.
const NODE_BIN = process.env.SOCKETIO_NODE_BIN;
export const serverName = NODE_BIN ? "node" : "reference";

// A node takes every SOCKETIO_ variable for a setting, and refuses those it does not know.
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SOCKETIO_")));

/** Asks until `condition` gives something truthy. */
export async function until(condition, what, timeout = 15_000) {
  const deadline = performance.now() + timeout;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`gave up waiting for ${what}`);
    await pause(20);
  }
}

/** Whether the server answers, whoever signed its certificate. */
function answers(url) {
  if (url.startsWith("http:")) return fetch(url).then((response) => response.ok, () => false);
  return new Promise((resolve) => {
    const request = getSecurely(url, { rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("error", () => resolve(false));
  });
}

/** Flags for a certificate of this machine, made for the occasion. */
function certificate(folder) {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync("openssl", [...request, ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
  return ["--tls-cert", cert, "--tls-key", key];
}

/** Starts a server that can be stopped and started again on the same port. */
export async function startServer({ flags = [], tls = false } = {}) {
  const port = await freePort();
  const url = `${tls ? "https" : "http"}://127.0.0.1:${port}/`;
  if (tls) {
    const folder = await mkdtemp(join(tmpdir(), "socketio-tls-"));
    process.once("exit", () => rmSync(folder, { recursive: true }));
    flags = [...flags, ...certificate(folder)];
  }
  let child = null;

  const start = async () => {
    const command = NODE_BIN
      ? [NODE_BIN, ["--host", "127.0.0.1", "--port", String(port), ...flags]]
      : [process.execPath, [REFERENCE, "--port", String(port), ...flags]];
    child = spawn(...command, { stdio: ["ignore", "pipe", "pipe"], env: environment, cwd: here(".") });
    const said = [];
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", (line) => said.push(line));
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`the server ended at start:\n${said.join("\n")}`);
      return answers(url);
    }, `the server on ${url}`);
  };
  const stop = async (signal = "SIGKILL") => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  };
  await start();
  return { url, port, start, stop, freeze: () => child.kill("SIGSTOP"), thaw: () => child.kill("SIGCONT") };
}

function chromiumBinary() {
  const named = process.env.CHROMIUM_BIN;
  const found = named ?? ["chromium", "chromium-browser", "google-chrome"].map((name) => `/usr/bin/${name}`).find(existsSync);
  if (!found) throw new Error("the browser tests need Chromium: install it, or name its binary in CHROMIUM_BIN");
  return found;
}

/** Chromium with a profile of its own. `tab` opens a page whose errors and refused resources are collected in `faults`. */
export async function startBrowser() {
  const profile = await mkdtemp(join(tmpdir(), "socketio-browser-"));
  await mkdir(OUT, { recursive: true });
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumBinary(),
    headless: true,
    viewport: null,
    ignoreHTTPSErrors: true,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });
  const faults = [];

  const tab = async (url, { width = 1440, height = 900, scheme = "light" } = {}) => {
    const page = await context.newPage();
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    page.on("console", (message) => {
      // The browser itself reports each request that a stopped server did not answer.
      if (message.type() === "error" && !/ERR_CONNECTION|ERR_EMPTY|ERR_INTERNET_DISCONNECTED|WebSocket connection to/.test(message.text())) faults.push(message.text());
    });
    page.on("request", (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (!["blob:", "data:"].includes(protocol) && hostname !== "127.0.0.1") faults.push(`asked the internet: ${request.url()}`);
    });
    await page.goto(url);
    return page;
  };
  const close = async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  };
  return { context, tab, faults, close };
}

/** A picture of the page for people to look at. */
export const picture = (page, name, options = {}) => page.screenshot({ path: join(OUT, `${name}.png`), ...options });
