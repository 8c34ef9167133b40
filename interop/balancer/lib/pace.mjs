// How fast something happened, however this process itself was held up.

import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { scrape } from "./cluster.mjs";

const SECOND = 1_000;

/**
 * Asks nodes for a counter all the time, in a thread of its own: what the nodes count does not depend on how soon this
 * process hears of it.
 */
export class Watch {
  /** @param {string[]} urls of `/metrics` @param {string} series */
  constructor(urls, series) {
    this.worker = new Worker(fileURLToPath(import.meta.url), { workerData: { urls, series } });
  }

  /** Without an answer. */
  stop() {
    return this.worker.terminate();
  }

  /** For each node and each of its lives the samples, the oldest first: `{sent, received, count}`. */
  async end() {
    const samples = new Promise((resolve, reject) => this.worker.once("message", resolve).once("error", reject));
    this.worker.postMessage("end");
    const nodes = await samples;
    await this.stop();
    return nodes.map(lives);
  }
}

/** A counter that falls is that of a new process. */
function lives(samples) {
  const all = [[]];
  for (const sample of samples) {
    const previous = all.at(-1).at(-1);
    if (previous && sample.count < previous.count) all.push([]);
    all.at(-1).push(sample);
  }
  return all;
}

/** The most that a counter grew by in a second, as far as two samples that are at least so far apart can tell. */
export function fastest(samples) {
  let [first, most] = [0, 0];
  for (const last of samples) {
    while (samples[first + 1] && last.sent - samples[first + 1].received >= SECOND) first += 1;
    const from = samples[first];
    // At the earliest one and at the latest one: of what is uncertain, the slower speed.
    const seconds = Math.max(last.received - from.sent, SECOND) / SECOND;
    most = Math.max(most, (last.count - from.count) / seconds);
  }
  return most;
}

/** Records when this process stood still: then what happens meanwhile, and what it would have done, comes all at once. */
export class Standstills {
  constructor() {
    this.found = [];
    let before = performance.now();
    this.timer = setInterval(() => {
      const now = performance.now();
      if (now - before > 20) this.found.push({ from: before, to: now });
      before = now;
    }, 5);
  }

  /** The longest one, in seconds, that can have moved something into the second before `at`. */
  before(at) {
    // What was put off begins at its end; a reconnection that begins takes some round trips.
    const near = this.found.filter(({ to }) => to > at - 1.5 * SECOND && to <= at + 5);
    return near.reduce((most, { from, to }) => Math.max(most, to - from), 0) / SECOND;
  }

  end() {
    clearInterval(this.timer);
  }
}

/**
 * The second in which `times` are the most above `bound` a second, when a standstill of `s` seconds may have brought
 * what belongs into `1 + s` of them.
 */
export function busiest(times, bound, standstills) {
  const sorted = times.toSorted((a, b) => a - b);
  let first = 0;
  return sorted.reduce((worst, time, last) => {
    while (sorted[first] <= time - SECOND) first += 1;
    const stall = standstills.before(time);
    const second = { count: last - first + 1, stall, allowed: bound * (1 + stall) };
    return worst && worst.count / worst.allowed >= second.count / second.allowed ? worst : second;
  }, undefined);
}

if (!isMainThread) {
  const { urls, series } = workerData;
  const now = () => performance.timeOrigin + performance.now();
  let ended = false;
  parentPort.once("message", () => (ended = true));
  const nodes = urls.map(async (url) => {
    const samples = [];
    while (!ended) {
      const sent = now();
      // Between two lives nobody is there.
      const count = await scrape(url).then((metrics) => metrics[series] ?? 0).catch(() => undefined);
      if (count !== undefined) samples.push({ sent, received: now(), count });
      // The pace of looking.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return samples;
  });
  parentPort.postMessage(await Promise.all(nodes));
}
