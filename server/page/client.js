// A Socket.IO client for this page and nothing else: Socket.IO 5 on the main namespace, with events and binary attachments
// both ways and acknowledgements of ours, over the Engine.IO session of engine.js.
//
// Nothing is buffered while there is no connection: `emit` says so and `request` fails. A page knows better than its
// client what is still worth sending after an interruption.

import { Emitter, Engine } from "./engine.js";

const RETRY_FIRST = 500;
const RETRY_LONGEST = 5_000;
const ACK_TIMEOUT = 10_000;

// Packet types of Socket.IO.
const CONNECT = 0;
const DISCONNECT = 1;
const EVENT = 2;
const CONNECT_ERROR = 4;
const BINARY_EVENT = 5;
const BINARY_ACK = 6;

/**
 * The page's socket. It connects again by itself, with growing and jittered pauses, until `disconnect` is called or the
 * server dismisses it.
 *
 * `status` listeners hear every change of `state` (`connecting`, `connected`, `waiting`, `closed`), `stage` listeners the
 * steps of a connection, `packet` listeners every Engine.IO packet.
 */
export class Socket {
  id = null;
  state = "closed";
  #options;
  #engine = null;
  #events = new Emitter();
  #changes = new Emitter();
  #acks = new Map();
  #nextAck = 0;
  #incoming = null;
  #early = [];
  #retries = 0;
  #retryTimer = 0;

  constructor({ url = document.baseURI, path = "/socket.io/", transports = ["polling", "websocket"] } = {}) {
    this.#options = { url, path, transports };
    addEventListener("pagehide", () => this.#engine?.abandon());
    // A page that the browser had put aside and shows again.
    addEventListener("pageshow", ({ persisted }) => persisted && this.state === "waiting" && this.connect());
    addEventListener("offline", () => this.#engine?.end("transport close", new Error("this device is offline")));
    addEventListener("online", () => this.state === "waiting" && this.connect());
  }

  get transport() {
    return this.#engine?.transport ?? null;
  }

  get upgrading() {
    return this.#engine?.upgrading ?? false;
  }

  /** Most bytes the server takes in one message. */
  get maxPayload() {
    return this.#engine?.maxPayload ?? Infinity;
  }

  /** Transports for the next connection, the first one opens it. */
  set transports(transports) {
    this.#options.transports = transports;
  }

  on(event, listener) {
    this.#events.on(event, listener);
    return this;
  }

  watch(change, listener) {
    this.#changes.on(change, listener);
    return this;
  }

  connect() {
    if (this.state === "connecting" || this.state === "connected") return;
    clearTimeout(this.#retryTimer);
    const engine = new Engine({ ...this.#options });
    this.#engine = engine;
    this.#incoming = null;
    this.#early = [];
    engine.on("open", () => {
      this.#changes.fire("stage", "open", engine.transport);
      engine.send(String(CONNECT));
    });
    engine.on("message", (message) => this.#engine === engine && this.#receive(message));
    engine.on("stage", (stage) => this.#changes.fire("stage", stage, engine.transport));
    engine.on("packet", (...packet) => this.#changes.fire("packet", ...packet));
    engine.on("close", (reason, error) => this.#engine === engine && this.#lost(reason, error));
    this.#become("connecting", { retries: this.#retries });
    this.#changes.fire("stage", "start", null);
    engine.open();
  }

  disconnect() {
    clearTimeout(this.#retryTimer);
    this.#retries = 0;
    const engine = this.#engine;
    this.#engine = null;
    if (this.state === "connected") engine.send(String(DISCONNECT));
    engine?.close();
    this.#forget("closed", { reason: "io client disconnect" });
  }

  /** Sends an event and answers whether there was a connection to send it on. */
  emit(event, ...args) {
    if (this.state !== "connected") return false;
    this.#send("", [event, ...args]);
    return true;
  }

  /** Sends an event and resolves to the arguments of its acknowledgement. */
  request(event, ...args) {
    return new Promise((resolve, reject) => {
      if (this.state !== "connected") return reject(new Error("not connected"));
      const id = this.#nextAck++;
      const timer = setTimeout(() => {
        this.#acks.delete(id);
        reject(new Error("no answer in time"));
      }, ACK_TIMEOUT);
      this.#acks.set(id, { resolve, reject, timer });
      return this.#send(id, [event, ...args]);
    });
  }

  #send(id, args) {
    const attachments = [];
    const json = JSON.stringify(takeBytes(args, attachments));
    const type = attachments.length > 0 ? `${BINARY_EVENT}${attachments.length}-` : EVENT;
    this.#engine.send(`${type}${id}${json}`);
    for (const bytes of attachments) this.#engine.send(bytes);
  }

  #receive(message) {
    try {
      if (typeof message !== "string") this.#handleAttachment(message);
      else if (this.#incoming) throw new SyntaxError("text where an attachment is due");
      else this.#handleText(message);
    } catch (error) {
      this.#engine?.end("parse error", error);
    }
  }

  #handleText(text) {
    const [, digit, count, namespace, id, json] = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*)(?:,|$))?(\d+)?(.*)$/s.exec(text) ?? [];
    if (digit === undefined) throw new SyntaxError("not a Socket.IO packet");
    if (namespace !== undefined && namespace !== "/") return;
    const packet = { type: Number(digit), id: id && Number(id), data: json ? JSON.parse(json) : undefined, attachments: [] };
    packet.missing = packet.type === BINARY_EVENT || packet.type === BINARY_ACK ? Number(count) : 0;
    if (Number.isNaN(packet.missing)) throw new SyntaxError("a binary packet without a count");
    if (packet.missing > 0) this.#incoming = packet;
    else this.#dispatch(packet);
  }

  #handleAttachment(bytes) {
    const packet = this.#incoming;
    if (!packet) throw new SyntaxError("an attachment without its packet");
    packet.attachments.push(bytes);
    if (packet.attachments.length < packet.missing) return;
    this.#incoming = null;
    packet.data = putBytes(packet.data, packet.attachments);
    this.#dispatch(packet);
  }

  #dispatch({ type, id, data }) {
    switch (type) {
      case CONNECT:
        return this.#joined(data?.sid);
      case CONNECT_ERROR:
        return this.#dismissed("connect error", data?.message ?? "the namespace refused this socket");
      case DISCONNECT:
        return this.#dismissed("io server disconnect");
      case EVENT:
      case BINARY_EVENT:
        if (!Array.isArray(data)) throw new SyntaxError("an event is a list");
        // A server may send events of a middleware before its CONNECT.
        return this.state === "connected" ? this.#events.fire(...data) : void this.#early.push(data);
      default:
        if (!Array.isArray(data)) throw new SyntaxError("an acknowledgement is a list");
        return this.#settle(id, (ack) => ack.resolve(data));
    }
  }

  #settle(id, how) {
    const ack = this.#acks.get(id);
    if (!ack) return;
    this.#acks.delete(id);
    clearTimeout(ack.timer);
    how(ack);
  }

  #joined(id) {
    this.id = id;
    this.#retries = 0;
    this.#changes.fire("stage", "joined", this.transport);
    this.#become("connected", {});
    for (const event of this.#early.splice(0)) this.#events.fire(...event);
  }

  /** The server does not want this socket: coming back unasked would be rude. */
  #dismissed(reason, message) {
    const engine = this.#engine;
    this.#engine = null;
    engine.close();
    this.#forget("closed", { reason, message });
  }

  #lost(reason, error) {
    this.#engine = null;
    // Half of the pause is fixed, half is chance, so that the clients of a restarted node do not come back as one.
    const longest = Math.min(RETRY_LONGEST, RETRY_FIRST * 2 ** this.#retries);
    const pause = longest / 2 + Math.random() * (longest / 2);
    this.#retries += 1;
    this.#retryTimer = setTimeout(() => this.connect(), pause);
    this.#forget("waiting", { reason, message: error?.message, retries: this.#retries, retryAt: performance.now() + pause });
  }

  #forget(state, detail) {
    this.id = null;
    for (const id of [...this.#acks.keys()]) this.#settle(id, (ack) => ack.reject(new Error("the connection was lost")));
    this.#become(state, detail);
  }

  #become(state, detail) {
    this.state = state;
    this.#changes.fire("status", state, detail);
  }
}

/** Copies a value with each run of bytes replaced by a placeholder; the bytes go to `attachments`. */
function takeBytes(value, attachments) {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
    return { _placeholder: true, num: attachments.push(bytes) - 1 };
  }
  if (Array.isArray(value)) return value.map((inner) => takeBytes(inner, attachments));
  if (value === null || typeof value !== "object" || typeof value.toJSON === "function") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, takeBytes(inner, attachments)]));
}

/** Puts attachments back where their placeholders are. */
function putBytes(value, attachments) {
  if (value === null || typeof value !== "object") return value;
  if (value._placeholder === true) {
    const bytes = attachments[value.num];
    if (!(bytes instanceof Uint8Array)) throw new SyntaxError("a placeholder without its attachment");
    return bytes;
  }
  for (const key of Object.keys(value)) value[key] = putBytes(value[key], attachments);
  return value;
}
