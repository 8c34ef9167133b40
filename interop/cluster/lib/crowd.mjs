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
const emit = (from, nsp, to, what, number) => from.do("emit", { nsp, to, event: "fence", args: [what, number] });
const passed = (member, what, number) => member.heard.findIndex(([name, ...args]) => name === "fence" && args[0] === what && args[1] === number);

/**
 * What each of `members` hears of what `act` causes, by name. It is over when the members have heard a broadcast that
 * `from` sent afterwards: one sender keeps its order.
 *
 * Some wires have a channel for each room, which a node hears only some time after its first member has joined. `room` is
 * such a one, of which `inside` are the members that hear it; they are waited for. With `loose` the channels come over
 * several connections, so that only what goes to the same room has an order.
 */
export async function heardOf(members, from, act, { nsp = "/", room, inside = [], loose = false } = {}) {
  const number = (fences += 1);
  if (room !== undefined) {
    const deaf = () => inside.filter((member) => passed(member, "sound", number) < 0);
    await until(async () => (await emit(from, nsp, [room], "sound", number)) && deaf().length === 0, () => `room ${room} at ${deaf().map(({ name }) => name)}`);
  }
  for (const member of members) member.heard.length = 0;
  await act();
  const waiting = new Set(members.map((member) => [member, "all"]));
  if (loose && room !== undefined) {
    await emit(from, nsp, [room], "room", number);
    inside.forEach((member) => waiting.add([member, "room"]));
  }
  await emit(from, nsp, [], "all", number);
  const late = () => [...waiting].filter(([member, what]) => passed(member, what, number) < 0);
  await until(() => late().length === 0, () => `fence ${number} at ${late().map(([{ name }, what]) => `${name} (${what})`)}`);
  const isMeant = ([name]) => name !== "fence";
  if (!loose) {
    for (const member of members) {
      const behind = member.heard.slice(passed(member, "all", number));
      assert.deepEqual(behind.filter(isMeant), [], `${member.name} heard something behind the fence`);
    }
  }
  return Object.fromEntries(members.map((member) => [member.name, member.heard.filter(isMeant)]));
}

/** That exactly the members with these names heard the message, once. */
export function onlyHeard(heard, names, message) {
  const expected = Object.fromEntries(Object.keys(heard).map((name) => [name, names.includes(name) ? [message] : []]));
  assert.deepEqual(heard, expected);
}
