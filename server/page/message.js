// How one message looks.

import { make } from "./connection.js";

const GROUPED = 180_000; // one name stands above what somebody says within three minutes

const element = (id) => document.getElementById(id);

export function drawMessage(message, previous) {
  const node = make("article", message.own ? "message own" : "message");
  if (continues(previous, message)) node.classList.add("grouped");
  const heading = make("p", "by");
  const name = make("span", "name", message.own ? "You" : message.name);
  name.style.setProperty("--hue", hue(message.name));
  const time = make("time", "", new Date(message.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  heading.append(name, time);
  node.append(heading);
  if (message.url) node.append(drawImage(message));
  if (message.text) node.append(make("p", "text", message.text));
  return node;
}

export function drawNotice({ name, what }) {
  return make("p", "notice", `${name} ${what === "left" ? "left" : "joined"}`);
}

export function drawEmptyRoom(name) {
  const empty = make("div", "empty");
  if (name === undefined) {
    empty.append(make("p", "", "You are in no room. Join one above."));
    return empty;
  }
  const another = make("a", "", "another tab");
  another.href = location.href;
  another.target = "_blank";
  another.rel = "noopener";
  const hint = make("p");
  const withMouse = matchMedia("(hover: hover)").matches;
  hint.append("Open ", another, ` and write there, or ${withMouse ? "drop an image onto this page" : "send an image"}.`);
  empty.append(make("p", "lead", `Nothing was said in ${name} yet.`), hint);
  return empty;
}

function continues(previous, message) {
  if (!previous || previous.event === "notice") return false;
  return previous.own === message.own && previous.name === message.name && message.at - previous.at < GROUPED;
}

function drawImage({ url, file, name, image, own }) {
  const open = make("button", "picture");
  open.type = "button";
  const shown = make("img");
  shown.alt = `Image ${file} from ${own ? "you" : name}`;
  shown.onerror = () => open.replaceWith(make("p", "text", "An image that cannot be shown."));
  shown.src = url;
  open.append(shown, make("span", "caption", `${file}, ${Math.max(1, Math.round(image.size / 1000))} kB`));
  open.addEventListener("click", () => {
    element("viewer-image").src = url;
    element("viewer-image").alt = shown.alt;
    element("viewer-save").href = url;
    element("viewer-save").download = file;
    element("viewer").showModal();
  });
  return open;
}

/** The same colour for the same name on every page. */
function hue(name) {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) % 360;
  return hash;
}
