// Engine.IO over WebSocket: with the `ws` client for what is legal, with a bare TCP socket for what is not.

import { randomBytes } from "node:crypto";
import net from "node:net";
import { WebSocket } from "ws";
import { within } from "./wait.mjs";

export const wsPath = (query = {}) => `/socket.io/?${new URLSearchParams({ EIO: "4", transport: "websocket", ...query })}`;

/** A queue of what came, for one reader. */
class Inbox {
  items = [];
  waiting = [];

  push(item) {
    const waiter = this.waiting.shift();
    if (waiter) waiter(item);
    else this.items.push(item);
  }

  next(what, timeout) {
    if (this.items.length > 0) return Promise.resolve(this.items.shift());
    return within(new Promise((resolve) => this.waiting.push(resolve)), what, timeout);
  }
}

/** A WebSocket connection by `ws`; `next()` gives strings and buffers, `closed` the code. */
export class Ws {
  constructor(server, { query, headers, path = wsPath(query) } = {}) {
    this.server = server;
    this.inbox = new Inbox();
    this.socket = new WebSocket(`ws://${server.host}${path}`, { headers });
    this.socket.on("message", (data, binary) => this.inbox.push(binary ? data : data.toString()));
    this.closed = new Promise((resolve) => this.socket.on("close", (code) => resolve(code)));
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("upgrade", (response) => (this.response = response));
      this.socket.on("open", resolve);
      this.socket.on("error", reject);
    });
    this.opened.catch(() => {});
  }

  /** Opens a session directly on WebSocket. */
  static async open(server, options) {
    const ws = new Ws(server, options);
    await within(ws.opened, "101");
    ws.handshake = JSON.parse((await ws.next()).slice(1));
    ws.sid = ws.handshake.sid;
    return ws;
  }

  /** Opens a session and joins the namespace; `id` is the id of its socket. */
  static async connect(server, { nsp = "/", auth = "", ...options } = {}) {
    const ws = await Ws.open(server, options);
    const prefix = nsp === "/" ? "" : `${nsp},`;
    ws.send(`40${prefix}${auth}`);
    const answer = await ws.next();
    ws.id = JSON.parse(answer.slice(2 + prefix.length)).sid;
    const greeting = await ws.next();
    if (!greeting.startsWith(`42${prefix}["auth"`)) throw new Error(`instead of the greeting: ${greeting}`);
    return ws;
  }

  send(data) {
    this.socket.send(data);
  }

  /** The next message, whatever it is. */
  nextPacket(timeout) {
    return this.inbox.next("WebSocket message", timeout);
  }

  /** The next message that is not a ping of the server. */
  async next(timeout) {
    for (;;) {
      const packet = await this.nextPacket(timeout);
      if (packet !== "2") return packet;
    }
  }

  closeCode(timeout) {
    return within(this.closed, "close", timeout);
  }

  abort() {
    this.socket.terminate();
  }
}

/** Bytes of one frame; every field may be made wrong. */
export function frame({ opcode = 1, fin = true, rsv = 0, mask = true, payload = "", length }) {
  const data = Buffer.from(payload);
  const announced = length ?? data.length;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const bit = mask ? 0x80 : 0;
  if (announced < 126) head.push(bit | announced);
  else if (announced < 65_536) head.push(bit | 126, announced >> 8, announced & 255);
  else {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(announced));
    head.push(bit | 127, ...long);
  }
  if (!mask) return Buffer.concat([Buffer.from(head), data]);
  const key = randomBytes(4);
  return Buffer.concat([Buffer.from(head), key, data.map((byte, index) => byte ^ key[index & 3])]);
}

/** Payload of a close frame. */
export const closePayload = (code, reason = "") => {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return payload;
};

/** A bare TCP connection that collects what comes. */
export class Tcp {
  constructor(server) {
    this.received = Buffer.alloc(0);
    this.ended = false;
    this.socket = net.connect({ host: "127.0.0.1", port: server.port, noDelay: true });
    this.connected = new Promise((resolve) => this.socket.once("connect", resolve));
    this.wake = () => {};
    this.socket.on("data", (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.wake();
    });
    this.socket.on("error", () => {});
    this.end = new Promise((resolve) =>
      this.socket.on("close", () => {
        this.ended = true;
        this.wake();
        resolve();
      }),
    );
  }

  write(data) {
    this.socket.write(data);
  }

  /** Waits until `take(received)` gives something; undefined at the end of the connection. */
  async read(take, what, timeout) {
    for (;;) {
      const found = take(this.received);
      if (found !== undefined) return found;
      if (this.ended) return undefined;
      await within(new Promise((resolve) => (this.wake = resolve)), what, timeout);
    }
  }

  /** Everything until the peer closes. */
  async readToEnd(timeout) {
    await within(this.end, "end of the connection", timeout);
    return this.received;
  }

  /** Head of an HTTP answer, as text without the empty line. */
  head(timeout) {
    return this.read((bytes) => {
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return undefined;
      this.received = bytes.subarray(end + 4);
      return bytes.subarray(0, end).toString();
    }, "HTTP head", timeout);
  }

  abort() {
    this.socket.destroy();
  }
}

export const upgradeRequest = (server, { path = wsPath(), headers = {}, method = "GET" } = {}) => {
  const all = {
    Host: server.host,
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined);
  return `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
};

/** A WebSocket connection whose frames the test writes itself. */
export class RawWs extends Tcp {
  /** Opens a session; `open` is the open packet. */
  static async open(server, options) {
    const raw = new RawWs(server);
    raw.write(upgradeRequest(server, options));
    raw.responseHead = await raw.head();
    if (!raw.responseHead.startsWith("HTTP/1.1 101")) throw new Error(raw.responseHead);
    return raw;
  }

  /** Opens a session and joins `/`. */
  static async connect(server) {
    const raw = await RawWs.open(server);
    await raw.nextFrame();
    raw.write(frame({ payload: "40" }));
    const answer = await raw.nextFrame();
    raw.id = JSON.parse(answer.payload.toString().slice(2)).sid;
    await raw.nextFrame();
    return raw;
  }

  /** The next frame of the server: `{fin, rsv, opcode, masked, payload}`; undefined at the end. */
  nextFrame(timeout) {
    return this.read((bytes) => {
      if (bytes.length < 2) return undefined;
      let length = bytes[1] & 127;
      let at = 2;
      if (length === 126) {
        if (bytes.length < 4) return undefined;
        length = bytes.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (bytes.length < 10) return undefined;
        length = Number(bytes.readBigUInt64BE(2));
        at = 10;
      }
      if (bytes.length < at + length) return undefined;
      this.received = bytes.subarray(at + length);
      return {
        fin: (bytes[0] & 0x80) !== 0,
        rsv: (bytes[0] >> 4) & 7,
        opcode: bytes[0] & 15,
        masked: (bytes[1] & 0x80) !== 0,
        payload: bytes.subarray(at, at + length),
      };
    }, "WebSocket frame", timeout);
  }

  /** Code of the close frame with which the server ends; 1005 for one without, undefined without a frame. */
  async closeCode(timeout) {
    for (;;) {
      const next = await this.nextFrame(timeout);
      if (next === undefined) return undefined;
      if (next.opcode === 8) return next.payload.length >= 2 ? next.payload.readUInt16BE(0) : 1005;
    }
  }
}
