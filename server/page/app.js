// Puts the page together: one socket, and the parts that show it.

import { Chat, remember } from "./chat.js";
import { Socket } from "./client.js";
import { showConnection, showLatency, showNode, showWire } from "./connection.js";

const CALM = ["Calm", "Quiet", "Bright", "Early", "Gentle", "Northern", "Patient", "Silver", "Steady", "Wild"];
const BIRDS = ["Heron", "Swift", "Plover", "Curlew", "Wren", "Lapwing", "Osprey", "Dipper", "Avocet", "Martin"];

function nameOfTab() {
  const pick = (list) => list[Math.floor(Math.random() * list.length)];
  let name = null;
  try {
    name = sessionStorage.getItem("name");
  } catch {
    // Storage is off: a new name at each visit then.
  }
  name ??= `${pick(CALM)} ${pick(BIRDS)}`;
  remember("name", name);
  return name;
}

function roomOfAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("room")?.trim() || "lobby";
}

const socket = new Socket({ path: document.querySelector("meta[name=socketio-path]").content });

showConnection(socket);
showLatency(socket);
showNode(socket);
showWire(socket);

const chat = new Chat(socket, nameOfTab());
chat.join(roomOfAddress());
addEventListener("hashchange", () => new URLSearchParams(location.hash.slice(1)).has("room") && chat.join(roomOfAddress()));

socket.connect();
