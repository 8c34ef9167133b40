// One face for the JavaScript clients of five generations.

import { after } from "node:test";
import { PATIENCE, within } from "./wait.mjs";

export const modes = ["polling", "websocket", "upgrade"];

const open = new Set();
after(() => open.forEach(dispose));

function dispose(socket) {
  open.delete(socket);
  const manager = socket.io;
  if (typeof manager.reconnection === "function") manager.reconnection(false);
  socket.disconnect();
  manager.engine?.close();
}

/**
 * A client of one generation.
 * @param {{name: string, io: Function, major: number, parser?: object}} generation
 */
export class Generation {
  constructor({ name, io, major, timeouts = false, parser }) {
    Object.assign(this, { name, io, major, timeouts, parser });
  }

  /** Revision 3 of Engine.IO: the server joins `/` by itself, and there is no auth payload. */
  get old() {
    return this.major < 3;
  }

  /** Name of the event that tells of a refused connection. */
  get refused() {
    return this.old ? "error" : "connect_error";
  }

  /** A socket that is still on its way; closed with its test. */
  socket(t, server, nsp, mode, options = {}) {
    const transports = mode === "upgrade" ? ["polling", "websocket"] : [mode];
    const { auth, ...rest } = options;
    // The older clients have no auth object; what they have is a query on the namespace.
    const credentials = this.old ? { query: auth } : { auth };
    const parser = this.parser ? { parser: this.parser } : {};
    const socket = this.io(server.url + nsp, {
      forceNew: true,
      transports,
      reconnectionDelay: 10,
      reconnectionDelayMax: 20,
      ...(auth ? credentials : {}),
      ...parser,
      ...rest,
    });
    open.add(socket);
    t.after(() => dispose(socket));
    return socket;
  }

  /** A connected socket; in the mode `upgrade` one whose transport has become WebSocket. */
  async connect(t, server, nsp, mode, options) {
    const socket = this.socket(t, server, nsp, mode, options);
    const upgraded = mode === "upgrade" ? upgrade(socket) : undefined;
    await event(socket, "connect");
    if (upgraded) await within(upgraded, "upgrade");
    return socket;
  }
}

function upgrade(socket) {
  // The engine exists as soon as the manager has begun to open.
  return new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
}

/** The arguments of the next event of that name. */
export function event(emitter, name, timeout = PATIENCE) {
  return within(new Promise((resolve) => emitter.once(name, (...args) => resolve(args))), `event "${name}"`, timeout);
}

/** Emits with an acknowledgement, gives its arguments. */
export function ask(socket, name, ...args) {
  return within(new Promise((resolve) => socket.emit(name, ...args, (...answer) => resolve(answer))), `ack of "${name}"`);
}

/** Everything that arrives under a name from now on. */
export function collect(socket, name) {
  const items = [];
  socket.on(name, (...args) => items.push(args));
  return items;
}

/** Name of the transport that carries the socket now. */
export const transport = (socket) => socket.io.engine.transport.name;
