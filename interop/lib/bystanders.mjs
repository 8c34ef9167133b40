// Healthy clients beside an attack: one over WebSocket, one over polling, and a speaker. None may notice anything.

import assert from "node:assert/strict";
import { io } from "socket.io-client";
import { ask, collect, event } from "./clients.mjs";
import { until } from "./wait.mjs";

export const ROOM = "square";

export class Bystanders {
  /** @param {import("node:test").TestContext} t */
  static async join(t, server) {
    const make = (transport) => io(server.url, { forceNew: true, transports: [transport], reconnection: false });
    const [speaker, websocket, polling] = [make("websocket"), make("websocket"), make("polling")];
    const all = [speaker, websocket, polling];
    t.after(() => all.forEach((socket) => socket.disconnect()));
    await Promise.all(all.map((socket) => event(socket, "connect")));
    await Promise.all(all.map((socket) => ask(socket, "join", ROOM)));
    const crowd = new Bystanders();
    Object.assign(crowd, { speaker, all, said: 0 });
    crowd.heard = all.map((socket) => collect(socket, "speech"));
    crowd.lost = [];
    all.forEach((socket) => socket.on("disconnect", (reason) => crowd.lost.push(reason)));
    return crowd;
  }

  /** Speaks once more, and checks that everyone heard everything so far, once and in order. */
  async unharmed() {
    this.speaker.emit("in-room", ROOM, "speech", this.said, Buffer.from([this.said & 255]));
    this.said += 1;
    await until(() => this.heard.every((list) => list.length >= this.said), () => `speech ${this.said}, heard ${this.heard.map((list) => list.length)}`);
    for (const list of this.heard) assert.deepEqual(list.map(([index]) => index), Array.from({ length: this.said }, (_, index) => index));
    assert.deepEqual(this.lost, []);
  }

  /** Live counts when nobody but the bystanders is left. */
  get counts() {
    // Three sockets, each in the room of its own id, and the square.
    return { connections: 3, sockets: 3, rooms: 4 };
  }
}
