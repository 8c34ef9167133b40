// Clients of a cluster: official ones, each with a name, that remember what they hear.

import assert from "node:assert/strict";
import { after } from "node:test";
import { io } from "socket.io-client";
import { ask, event } from "../../lib/clients.mjs";
import { until } from "../../lib/wait.mjs";

const open = new Set();
after(() => open.forEach((socket) => socket.disconnect()));

/** A client that is connected to one node; `heard` is everything that came, as `[event, ...arguments]`. */
export class Member {
  static async join(name, node, { transport = "websocket", nsp = "/", rooms = [], data, ...options } = {}) {
    const transports = [transport];
    const socket = io(node.url + nsp, { forceNew: true, transports, reconnection: false, query: { name }, auth: { by: name }, ...options });
    const member = Object.assign(new Member(), { name, node, socket, heard: [], answers: true });
    open.add(socket);
    socket.onAny((...args) => {
      const reply = typeof args.at(-1) === "function" ? args.pop() : undefined;
      member.heard.push(args);
      if (reply && member.answers) reply({ by: name, args: args.slice(1) });
    });
    socket.on("disconnect", (reason) => (member.gone = reason));
    await event(socket, "connect");
    if (rooms.length > 0) await ask(socket, "join", rooms);
    if (data !== undefined) await ask(socket, "attach", data);
    return member;
  }

  get id() {
    return this.socket.id;
  }

  get rooms() {
    return ask(this.socket, "rooms").then(([rooms]) => rooms);
  }

  leave() {
    open.delete(this.socket);
    this.socket.disconnect();
  }
}

let fences = 0;

/**
 * What each of `members` hears of what `act` causes, by name. It is over when the members have heard a broadcast that
 * `from` sent afterwards: one sender keeps its order.
 */
export async function heardOf(members, from, act, nsp = "/") {
  for (const member of members) member.heard.length = 0;
  await act();
  const number = (fences += 1);
  await from.do("emit", { nsp, event: "fence", args: [number] });
  const fenced = (member) => member.heard.findIndex(([name, value]) => name === "fence" && value === number);
  await until(() => members.every((member) => fenced(member) >= 0), () => `fence ${number} at ${members.filter((member) => fenced(member) < 0).map((member) => member.name)}`);
  const heard = Object.fromEntries(members.map((member) => [member.name, member.heard.slice(0, fenced(member))]));
  for (const member of members) {
    const late = member.heard.slice(fenced(member) + 1);
    assert.deepEqual(late, [], `${member.name} heard something behind the fence`);
  }
  return heard;
}

/** That exactly the members with these names heard the message, once. */
export function onlyHeard(heard, names, message) {
  const expected = Object.fromEntries(Object.keys(heard).map((name) => [name, names.includes(name) ? [message] : []]));
  assert.deepEqual(heard, expected);
}
