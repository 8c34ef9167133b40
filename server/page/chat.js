// Rooms and what is said in them. The node only passes events on: what they mean is agreed among the pages.
//
//   publish(room, "chat",   {room, id, from, name, text, at})
//   publish(room, "image",  {room, id, from, name, file, type, at}, bytes)
//   publish(room, "notice", {room, id, from, name, what})        what: joined | left
//   publish(room, "typing", {room, from, name})
//
// A message is shown at once and is pale until the node has sent it back. Whatever was not confirmed when a connection
// broke is published again by the next one, under the same id, by which the others know it.

import { make } from "./connection.js";
import { prepare, receive } from "./image.js";
import { drawEmptyRoom, drawMessage, drawNotice } from "./message.js";

const REMEMBERED = 300; // messages kept per room
const IMAGES = 40; // images kept per room: they may be large
const TRIES = 3; // what breaks the connection each time is not sent for ever
const TYPING_EVERY = 2_000;
const TYPING_FADES = 3_500;

const element = (id) => document.getElementById(id);

export class Chat {
  #socket;
  #rooms = new Map();
  #active = null;
  #unconfirmed = new Map();
  #typists = new Map();
  #typedAt = 0;
  #complaint = 0;
  #log = element("log");
  #following = true;
  #text = element("text");
  #name = element("name");

  constructor(socket, name) {
    this.#socket = socket;
    this.#name.value = name;
    socket.on("chat", (data) => this.#incoming("chat", data));
    socket.on("image", (data, bytes) => this.#incoming("image", data, bytes));
    socket.on("notice", (data) => this.#incoming("notice", data));
    socket.on("typing", (data) => this.#showTyping(data));
    socket.on("stats", () => this.#countMembers());
    socket.watch("status", (state) => {
      element("held").textContent = state === "connected" ? "" : "Messages wait for the connection.";
      if (state === "connected") for (const room of this.#rooms.values()) this.#enter(room);
    });
    this.#listen();
  }

  /** Joins a room, or shows it if it was joined before. */
  join(name) {
    let room = this.#rooms.get(name);
    if (!room) {
      room = { name, members: null, messages: [], known: new Set(), unread: 0, announced: false };
      this.#rooms.set(name, room);
      if (this.#socket.state === "connected") this.#enter(room);
    }
    this.#show(room);
  }

  /** Publishes text to the room on show. */
  say(text) {
    this.#publish(this.#active, "chat", { text });
    this.#typedAt = 0;
  }

  /** Publishes images to the room on show. */
  async sendImages(files) {
    const room = this.#active;
    for (const file of files) {
      try {
        const { type, bytes } = await prepare(file, this.#socket.maxPayload);
        this.#publish(room, "image", { file: file.name || "image", type }, bytes);
      } catch (error) {
        this.#complain(error.message);
      }
    }
  }

  #listen() {
    const composer = element("composer");
    composer.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#text.value.trim();
      if (text) this.say(text);
      this.#text.value = "";
      this.#text.focus();
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      composer.requestSubmit();
    });
    this.#text.addEventListener("input", () => this.#tellTyping());
    this.#name.addEventListener("change", () => {
      this.#name.value = clip(this.#name.value.trim(), 40) || "Somebody";
      remember("name", this.#name.value);
    });
    element("join").addEventListener("submit", (event) => {
      event.preventDefault();
      const field = element("room");
      const name = field.value.trim();
      if (name) this.join(name);
      field.value = "";
    });

    const file = element("file");
    element("attach").addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      this.sendImages([...file.files]);
      file.value = "";
    });
    addEventListener("paste", (event) => this.sendImages(imagesOf(event.clipboardData)));
    this.#listenForDrops();
    document.addEventListener("visibilitychange", () => this.#seen());

    const log = this.#log;
    log.addEventListener("scroll", () => (this.#following = log.scrollHeight - log.scrollTop - log.clientHeight < 60));
    new ResizeObserver(() => this.#follow()).observe(log);
    // The height of an image is known only when it has loaded, and that event does not bubble.
    log.addEventListener("load", () => this.#follow(), { capture: true });
  }

  #listenForDrops() {
    const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
    const hint = (on) => document.body.classList.toggle("dropping", on);
    addEventListener("dragover", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      hint(true);
    });
    addEventListener("dragleave", (event) => event.relatedTarget === null && hint(false));
    addEventListener("drop", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      hint(false);
      const images = imagesOf(event.dataTransfer);
      if (images.length > 0) this.sendImages(images);
      else this.#complain("Only images can be sent.");
    });
  }

  // Rooms

  async #enter(room) {
    try {
      const [answer] = await this.#socket.request("join", room.name);
      if (answer?.error) {
        this.#complain(`${room.name}: ${answer.error}`);
        return this.#drop(room);
      }
      this.#setMembers(room, answer.members);
      if (!room.announced) this.#notice(room, "joined");
      room.announced = true;
      for (const message of this.#unconfirmed.values()) if (message.room === room.name) this.#transmit(message);
    } catch {
      // The connection went meanwhile; the next one enters again.
    }
    return undefined;
  }

  #leave(room) {
    this.#notice(room, "left");
    this.#socket.emit("leave", room.name);
    this.#drop(room);
  }

  #drop(room) {
    this.#rooms.delete(room.name);
    for (const message of room.messages) if (message.url) URL.revokeObjectURL(message.url);
    for (const [id, message] of this.#unconfirmed) if (message.room === room.name) this.#unconfirmed.delete(id);
    if (this.#active === room) this.#show([...this.#rooms.values()][0] ?? null);
    else this.#drawRooms();
  }

  #notice(room, what) {
    this.#socket.emit("publish", room.name, "notice", { room: room.name, id: randomId(), ...this.#me(), what });
  }

  async #countMembers() {
    const room = this.#active;
    if (!room || document.hidden) return;
    try {
      const [answer] = await this.#socket.request("who", room.name);
      this.#setMembers(room, answer?.total);
    } catch {
      // No answer, no news.
    }
  }

  #setMembers(room, members) {
    if (!Number.isInteger(members) || room.members === members) return;
    room.members = members;
    this.#drawRooms();
  }

  #show(room) {
    this.#active = room;
    if (room) room.unread = 0;
    history.replaceState(null, "", room ? `#room=${encodeURIComponent(room.name)}` : "#");
    this.#text.placeholder = room ? `Write to ${room.name}` : "Join a room first";
    element("composer").toggleAttribute("inert", !room);
    this.#typists.clear();
    this.#drawTyping();
    this.#drawRooms();
    this.#log.setAttribute("aria-label", room ? `Messages in ${room.name}` : "Messages");
    this.#log.replaceChildren(...(room?.messages.map((message) => message.node) ?? []));
    if (!room || room.messages.length === 0) this.#log.replaceChildren(drawEmptyRoom(room?.name));
    this.#follow(true);
    element("rooms").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** Keeps the newest message in sight of who was looking at it. */
  #follow(anyway = false) {
    this.#following ||= anyway;
    if (this.#following) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #seen() {
    if (document.hidden || !this.#active) return;
    this.#active.unread = 0;
    this.#drawRooms();
  }

  #drawRooms() {
    const had = document.activeElement?.closest?.("#rooms") ? document.activeElement.dataset.key : null;
    let unread = 0;
    const items = [...this.#rooms.values()].map((room) => {
      unread += room.unread;
      const item = make("li");
      const open = make("button", "open");
      open.type = "button";
      open.dataset.key = `open ${room.name}`;
      open.append(make("span", "name", room.name));
      if (room.members !== null) open.append(make("span", "members", `${room.members} here`));
      if (room.unread > 0) open.append(make("span", "unread", `${room.unread} new`));
      if (room === this.#active) open.setAttribute("aria-current", "true");
      open.addEventListener("click", () => this.#show(room));
      const leave = make("button", "leave", "×");
      leave.type = "button";
      leave.dataset.key = `leave ${room.name}`;
      leave.setAttribute("aria-label", `Leave ${room.name}`);
      leave.title = `Leave ${room.name}`;
      leave.addEventListener("click", () => this.#leave(room));
      item.append(open, leave);
      return item;
    });
    element("rooms").replaceChildren(...items);
    // A redraw must not take the keyboard away from who stands on it.
    if (had) [...element("rooms").querySelectorAll("button")].find((button) => button.dataset.key === had)?.focus();
    document.title = `${unread > 0 ? `(${unread}) ` : ""}${this.#active?.name ?? "no room"} · socketio-cluster`;
  }

  // Messages

  #me() {
    return { from: this.#socket.id, name: this.#name.value };
  }

  #publish(room, event, data, bytes) {
    // It may have been left while an image was made ready.
    if (!room || this.#rooms.get(room.name) !== room) return;
    const message = { event, data, bytes, room: room.name, id: randomId(), at: Date.now(), tries: 0 };
    this.#unconfirmed.set(message.id, message);
    this.#add(room, { ...message, ...data, name: this.#name.value, own: true, image: bytes && receive(data.type, bytes) });
    this.#transmit(message);
  }

  async #transmit(message) {
    const { event, data, bytes, room, id, at } = message;
    if (this.#socket.state !== "connected") return undefined;
    message.tries += 1;
    if (message.tries > TRIES) return this.#confirm(room, id, "the connection broke each time");
    const args = [{ room, id, ...this.#me(), ...data, at }];
    if (bytes) args.push(bytes);
    try {
      const [answer] = await this.#socket.request("publish", room, event, ...args);
      this.#confirm(room, id, answer?.error);
    } catch {
      // Stays unconfirmed: the next connection publishes it again.
    }
    return undefined;
  }

  #confirm(roomName, id, error) {
    if (!this.#unconfirmed.delete(id)) return;
    const message = this.#rooms.get(roomName)?.messages.find((message) => message.id === id);
    if (!message) return;
    message.node.classList.remove("unsure");
    if (error) message.node.append(make("p", "failed", `Not sent: ${error}`));
  }

  #incoming(event, data, bytes) {
    const { room: roomName, id, from, name, text, what, type, file } = data ?? {};
    const room = this.#rooms.get(roomName) ?? (roomName === undefined ? this.#active : null);
    if (!room) return;
    if (this.#unconfirmed.has(id)) return this.#confirm(room.name, id);
    if (id !== undefined && room.known.has(id)) return;
    const own = from === this.#socket.id;
    if (event === "notice" && own) return;
    const message = { event, id, own, name: clip(name, 40) || "Somebody", text: clip(text, 2000), what, file: clip(file, 80), at: Date.now() };
    if (event === "image") {
      message.image = receive(type, bytes);
      if (!message.image) message.text = "An image that cannot be shown.";
    }
    this.#add(room, message);
    if (this.#typists.delete(from)) this.#drawTyping();
    if (event !== "notice" && (room !== this.#active || document.hidden)) {
      room.unread += 1;
      this.#drawRooms();
    }
    if (event === "notice" && room === this.#active) this.#countMembers();
  }

  #add(room, message) {
    const previous = room.messages.at(-1);
    if (message.image) message.url = URL.createObjectURL(message.image);
    message.node = message.event === "notice" ? drawNotice(message) : drawMessage(message, previous);
    if (this.#unconfirmed.has(message.id)) message.node.classList.add("unsure");
    room.messages.push(message);
    if (message.id !== undefined) room.known.add(message.id);
    const images = room.messages.filter((message) => message.url);
    if (images.length > IMAGES) forgetImage(images[0]);
    if (room.messages.length > REMEMBERED) {
      const oldest = room.messages.shift();
      oldest.node.remove();
      room.known.delete(oldest.id);
      if (oldest.url) URL.revokeObjectURL(oldest.url);
    }
    if (room !== this.#active) return;
    if (room.messages.length === 1) this.#log.replaceChildren();
    this.#log.append(message.node);
    this.#follow(message.own);
  }

  #complain(text) {
    const trouble = element("trouble");
    trouble.textContent = text;
    trouble.hidden = false;
    clearTimeout(this.#complaint);
    this.#complaint = setTimeout(() => (trouble.hidden = true), 8_000);
  }

  // Typing

  #tellTyping() {
    const now = performance.now();
    if (!this.#active || !this.#text.value || (this.#typedAt && now - this.#typedAt < TYPING_EVERY)) return;
    this.#typedAt = now;
    this.#socket.emit("publish", this.#active.name, "typing", { room: this.#active.name, ...this.#me() });
  }

  #showTyping(data) {
    const { room, from, name } = data ?? {};
    if (room !== this.#active?.name || from === this.#socket.id || typeof from !== "string") return;
    clearTimeout(this.#typists.get(from)?.timer);
    const timer = setTimeout(() => {
      this.#typists.delete(from);
      this.#drawTyping();
    }, TYPING_FADES);
    this.#typists.set(from, { name: clip(name, 40) || "Somebody", timer });
    this.#drawTyping();
  }

  #drawTyping() {
    const names = [...this.#typists.values()].map(({ name }) => name);
    const who = names.length > 2 ? `${names.length} people are` : `${names.join(" and ")} ${names.length === 2 ? "are" : "is"}`;
    element("typing").textContent = names.length > 0 ? `${who} typing…` : "";
  }
}

function forgetImage(message) {
  URL.revokeObjectURL(message.url);
  message.url = null;
  message.node.querySelector(".picture")?.replaceWith(make("p", "text", `${message.file} is no longer kept here.`));
}

const imagesOf = (transfer) => [...(transfer?.files ?? [])].filter((file) => file.type.startsWith("image/"));

const clip = (value, length) => (typeof value === "string" ? value.slice(0, length) : "");

/** `crypto.randomUUID` is missing where the page came over plain HTTP from another machine. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("");
}

/** Keeps a value for this tab, where the browser allows it. */
export function remember(key, value) {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // The page works without.
  }
}
