// Engine.IO over HTTP long-polling with nothing between the test and the bytes.

import http from "node:http";
import { within } from "./wait.mjs";

export const SEPARATOR = "\x1e";

/** A request under way: `response` resolves with what came back, `abort()` cuts its connection. */
export function begin(server, { method = "GET", path, headers = {}, body, agent = false }) {
  const request = http.request({ host: "127.0.0.1", port: server.port, method, path, headers, agent });
  const response = new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", (incoming) => {
      const chunks = [];
      incoming.on("data", (chunk) => chunks.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () => {
        const bytes = Buffer.concat(chunks);
        const { statusCode: status, headers, rawHeaders } = incoming;
        resolve({ status, headers, names: rawHeaders.filter((_, index) => index % 2 === 0), bytes, text: bytes.toString() });
      });
    });
  });
  request.end(body);
  const answer = within(response, `answer to ${method} ${path}`);
  // A test that aborts a request does not look at its outcome.
  answer.catch(() => {});
  return { request, response: answer, abort: () => request.destroy() };
}

/** A request and its answer. */
export const request = (server, options) => begin(server, options).response;

export const json = (response) => JSON.parse(response.text);

/** One polling session. */
export class Polling {
  constructor(server, query) {
    this.server = server;
    this.query = query;
    this.queue = [];
  }

  /** Opens a session; `query` may change or add parameters, `EIO` is 4 unless it says otherwise. */
  static async open(server, query = {}, headers) {
    const session = new Polling(server, { EIO: "4", transport: "polling", ...query });
    session.response = await request(server, { path: session.path(), headers });
    if (session.response.status !== 200) throw new Error(`handshake: ${session.response.status} ${session.response.text}`);
    const [open] = session.decode(session.response);
    session.handshake = JSON.parse(open.slice(1));
    session.sid = session.handshake.sid;
    return session;
  }

  /** Opens a session and joins the namespace; `id` is the id of its socket. */
  static async connect(server, { query, nsp = "/", auth = "" } = {}) {
    const session = await Polling.open(server, query);
    const prefix = nsp === "/" ? "" : `${nsp},`;
    await session.post(`40${prefix}${auth}`);
    const answer = await session.next();
    session.id = JSON.parse(answer.slice(2 + prefix.length)).sid;
    const greeting = await session.next();
    if (!greeting.startsWith(`42${prefix}["auth"`)) throw new Error(`instead of the greeting: ${greeting}`);
    return session;
  }

  get revision3() {
    return this.query.EIO !== "4";
  }

  path(more = {}) {
    const query = new URLSearchParams({ ...this.query, ...(this.sid ? { sid: this.sid } : {}), ...more });
    return `/socket.io/?${query}`;
  }

  /** A GET under way. */
  beginGet(headers) {
    return begin(this.server, { path: this.path(), headers });
  }

  /** A GET that waits at the server: what was sent behind it has already been answered. */
  async pendingGet() {
    const get = this.beginGet();
    await new Promise((resolve) => get.request.once("finish", resolve));
    // Whatever the server read meanwhile, it has read the GET too.
    for (let round = 0; round < 3; round += 1) await request(this.server, { path: "/socket.io/?transport=polling&EIO=4&sid=unknown" });
    return get;
  }

  get(headers) {
    return this.beginGet(headers).response;
  }

  beginPost(body, headers) {
    return begin(this.server, { method: "POST", path: this.path(), headers: { "content-type": "text/plain;charset=UTF-8", ...headers }, body });
  }

  post(body, headers) {
    return this.beginPost(body, headers).response;
  }

  decode(response) {
    if (!this.revision3) return response.text === "" ? [] : response.text.split(SEPARATOR);
    const packets = [];
    let rest = response.text;
    while (rest) {
      const colon = rest.indexOf(":");
      const length = Number(rest.slice(0, colon));
      packets.push(rest.slice(colon + 1, colon + 1 + length));
      rest = rest.slice(colon + 1 + length);
    }
    return packets;
  }

  /** The next packet, without the server's pings and noops. */
  async next() {
    for (;;) {
      const packet = await this.nextPacket();
      if (packet !== "2" && packet !== "6") return packet;
    }
  }

  async nextPacket() {
    while (this.queue.length === 0) {
      const response = await this.get();
      if (response.status !== 200) throw new Error(`poll: ${response.status} ${response.text}`);
      this.queue.push(...this.decode(response));
    }
    return this.queue.shift();
  }
}
