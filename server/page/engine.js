// Engine.IO 4 for this page: one session by long-polling and WebSocket, with the upgrade between them. The Socket.IO
// protocol on top of it is in client.js.

const SEPARATOR = "\x1e";
const CONNECT_TIMEOUT = 20_000; // the time the official client gives a handshake
const UPGRADE_TIMEOUT = 10_000; // the time a server waits for the end of an upgrade

/** Listeners by name. A listener that fails is reported, and disturbs neither the others nor the connection. */
export class Emitter {
  #listeners = new Map();

  on(name, listener) {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
    return this;
  }

  fire(name, ...args) {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(...args);
      } catch (error) {
        reportError(error);
      }
    }
  }
}

/** Long-polling: at most one GET waits for packets, at most one POST carries ours. */
class Polling {
  name = "polling";
  #engine;
  #abort = new AbortController();
  #paused = false;
  #receiving = Promise.resolve();
  #sending = null;

  constructor(engine) {
    this.#engine = engine;
    this.#receiving = this.#receive();
  }

  get writable() {
    return !this.#paused && this.#sending === null;
  }

  /** Takes from the front of the queue what fits into one request, and sends it. */
  write(queue) {
    let size = 0;
    let count = 0;
    const parts = [];
    for (const packet of queue) {
      const text = typeof packet === "string" ? packet : `b${toBase64(packet)}`;
      size += utf8Length(text) + SEPARATOR.length;
      // A packet that is too large by itself still goes out: the server's answer tells why it was refused.
      if (count > 0 && size > this.#engine.maxPayload) break;
      parts.push(text);
      count += 1;
    }
    queue.splice(0, count);
    this.#sending = this.#post(parts.join(SEPARATOR));
  }

  /** Resolves when no request is under way any more. The GET ends because the server answers it with a noop. */
  async pause() {
    this.#paused = true;
    await Promise.all([this.#receiving, this.#sending]);
  }

  resume() {
    this.#paused = false;
    // Chained, because the GET that was under way at the pause may still be: two at once would end the session.
    this.#receiving = this.#receiving.then(() => this.#receive());
  }

  close() {
    this.#abort.abort();
  }

  async #receive() {
    try {
      // Once we said goodbye, a further GET would only be told that the session is unknown.
      while (!this.#paused && !this.#engine.closing && !this.#abort.signal.aborted) {
        const body = await this.#request({ method: "GET" });
        for (const packet of body.split(SEPARATOR)) {
          this.#engine.receive(this, packet[0] === "b" ? fromBase64(packet.slice(1)) : packet);
        }
      }
    } catch (error) {
      this.#engine.end("transport error", error);
    }
  }

  async #post(body) {
    try {
      await this.#request({ method: "POST", body, headers: { "Content-Type": "text/plain;charset=UTF-8" } });
    } catch (error) {
      this.#engine.end("transport error", error);
    }
    this.#sending = null;
    this.#engine.flush();
  }

  async #request(init) {
    const signal = this.#abort.signal;
    const response = await fetch(this.#engine.address(this.name), { ...init, signal, cache: "no-store" });
    const body = await response.text();
    if (response.ok) return body;
    throw new Error(refusal(body) ?? `the server answered ${response.status}`);
  }
}

/** A WebSocket that carries the session: one packet per message. */
class WebSocketTransport {
  name = "websocket";
  writable = true;
  #socket;

  constructor(engine, socket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => engine.receive(this, typeof data === "string" ? data : new Uint8Array(data));
    socket.onclose = () => engine.end("transport close", new Error("the WebSocket was closed"));
  }

  write(queue) {
    for (const packet of queue.splice(0)) this.#socket.send(packet);
  }

  close() {
    silence(this.#socket);
  }
}

/** One Engine.IO session, from its handshake to its end. Fires `open`, `message`, `stage`, `packet` and `close`. */
export class Engine extends Emitter {
  maxPayload = Infinity;
  transport = null;
  closing = false;
  #options;
  #sid = null;
  #transport = null;
  #candidate = null;
  #queue = [];
  #watch = 0;
  #patience = CONNECT_TIMEOUT;
  #upgradeTimer = 0;
  #ended = false;

  constructor(options) {
    super();
    this.#options = options;
  }

  /** Whether a WebSocket is being tried beside the polling. */
  get upgrading() {
    return this.transport === "polling" && this.#candidate !== null;
  }

  open() {
    this.#keepWatch("timeout");
    if (this.#options.transports[0] === "polling") return this.#use(new Polling(this));
    const socket = this.#connectWebSocket();
    socket.onopen = () => this.#use(new WebSocketTransport(this, socket));
    socket.onclose = () => this.end("transport error", new Error("the WebSocket could not be opened"));
    this.#candidate = socket;
  }

  /** Queues one message: text, or bytes. */
  send(message) {
    this.#push(typeof message === "string" ? `4${message}` : message);
  }

  /** Ends the session in good order: what is queued goes out first. */
  close() {
    if (this.#sid === null || this.transport !== "polling") return this.end("forced close");
    this.closing = true;
    this.#push("1");
  }

  /** Ends the session of a page that goes away: there is no time to wait for anything. */
  abandon() {
    // Without a word the server would notice an open WebSocket or GET going, but not the pause between two of them.
    if (this.transport === "polling" && this.#sid !== null) navigator.sendBeacon(this.address("polling"), "1");
    this.end("forced close");
  }

  /** Address of one request. Never cached: each has a name of its own. */
  address(transport) {
    const address = new URL(this.#options.path, this.#options.url);
    if (transport === "websocket") address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.hash = "";
    address.search = new URLSearchParams({ EIO: "4", transport, t: Math.random().toString(36).slice(2, 10) });
    if (this.#sid !== null) address.searchParams.set("sid", this.#sid);
    return address;
  }

  receive(transport, packet) {
    if (this.#ended || transport !== this.#transport) return;
    this.fire("packet", "in", transport.name, packet);
    if (typeof packet !== "string") return this.fire("message", packet);
    switch (packet[0]) {
      case "0":
        return this.#handleOpen(packet.slice(1));
      case "1":
        return this.end("transport close", new Error("the server closed the session"));
      case "2":
        this.#keepWatch("ping timeout");
        return this.#push(`3${packet.slice(1)}`);
      case "4":
        return this.fire("message", packet.slice(1));
      case "6":
        return undefined;
      default:
        return this.end("parse error", new Error("a packet that nobody knows"));
    }
  }

  flush() {
    if (this.#ended || !this.#transport?.writable) return;
    if (this.#queue.length > 0) this.#transport.write(this.#queue);
    else if (this.closing) this.end("forced close");
  }

  end(reason, error) {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#watch);
    clearTimeout(this.#upgradeTimer);
    this.#transport?.close();
    if (this.#candidate) silence(this.#candidate);
    this.fire("close", reason, error);
  }

  #use(transport) {
    this.#transport = transport;
    this.#candidate = null;
    this.transport = transport.name;
  }

  #push(packet) {
    if (this.#ended) return;
    this.fire("packet", "out", this.transport, packet);
    this.#queue.push(packet);
    this.flush();
  }

  #handleOpen(json) {
    let handshake;
    try {
      handshake = JSON.parse(json);
    } catch (error) {
      return this.end("parse error", error);
    }
    this.#sid = handshake.sid;
    this.maxPayload = handshake.maxPayload ?? Infinity;
    this.#patience = handshake.pingInterval + handshake.pingTimeout;
    this.#keepWatch("ping timeout");
    this.fire("open");
    if (this.transport === "websocket" || !this.#options.transports.includes("websocket")) return undefined;
    if (handshake.upgrades.includes("websocket")) return this.#probe(this.#transport);
    return this.fire("stage", "upgrade refused");
  }

  /** Tries a WebSocket beside the polling, and moves the session over when it answers. */
  #probe(polling) {
    const socket = this.#connectWebSocket();
    this.#candidate = socket;
    const giveUp = () => {
      if (this.#candidate !== socket) return;
      this.#candidate = null;
      clearTimeout(this.#upgradeTimer);
      silence(socket);
      polling.resume();
      this.flush();
      this.fire("stage", "upgrade refused");
    };
    this.#upgradeTimer = setTimeout(giveUp, UPGRADE_TIMEOUT);
    socket.onclose = giveUp;
    socket.onopen = () => {
      this.fire("packet", "out", "websocket", "2probe");
      socket.send("2probe");
    };
    socket.onmessage = async ({ data }) => {
      this.fire("packet", "in", "websocket", data);
      if (data !== "3probe") return giveUp();
      this.fire("stage", "probe");
      await polling.pause();
      // While it paused, the session may have ended or the WebSocket may have gone.
      if (this.#ended || this.#candidate !== socket) return undefined;
      clearTimeout(this.#upgradeTimer);
      this.fire("packet", "out", "websocket", "5");
      socket.send("5");
      this.#use(new WebSocketTransport(this, socket));
      this.fire("stage", "upgrade");
      return this.flush();
    };
  }

  #connectWebSocket() {
    const socket = new WebSocket(this.address("websocket"));
    socket.binaryType = "arraybuffer";
    return socket;
  }

  /** Ends the session when the server stays silent for longer than it promised. */
  #keepWatch(reason) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.end(reason, new Error("the server was silent for too long")), this.#patience);
  }
}

function toBase64(bytes) {
  // In slices, because each byte becomes an argument.
  let text = "";
  for (let start = 0; start < bytes.length; start += 0x8000) text += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  return btoa(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

function utf8Length(text) {
  return new TextEncoder().encode(text).length;
}

/** The reason in the body of an Engine.IO error, if that is what it is. */
function refusal(body) {
  try {
    return JSON.parse(body).message;
  } catch {
    return undefined;
  }
}

/** Closes a WebSocket and hears nothing more of it. */
function silence(socket) {
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close();
}
