// What the page tells about its connection and its node: the state in words, the steps up to the WebSocket, the round
// trip, the counts of the node, the packets.

const SAMPLES = 60;
const PACKETS = 80;
const SHOWN_OF_PACKET = 160;

const element = (id) => document.getElementById(id);

/** Makes an element with a class and text. */
export function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const NAMES = { polling: "long-polling", websocket: "WebSocket" };
const REASONS = {
  "transport close": "The connection was closed.",
  "transport error": "The node could not be reached.",
  "ping timeout": "The node was silent for too long.",
  "parse error": "The node sent something this page does not understand.",
  timeout: "The node did not answer in time.",
};

/** State, steps and the two controls. */
export function showConnection(socket) {
  const headline = element("headline");
  const detail = element("detail");
  const button = element("switch");
  let countdown = 0;

  const say = (title, text) => {
    headline.textContent = title;
    detail.textContent = text;
  };
  // A screen reader hears what is new, not each attempt.
  const announcements = element("announcements");
  const announce = (text) => text !== announcements.textContent && (announcements.textContent = text);

  const describe = {
    connecting: ({ retries }) => {
      // The headline stays through all attempts: a page that blinks makes nobody calm.
      if (retries > 0) say("Interrupted", `Trying again now, attempt ${retries}.`);
      else say("Connecting", "Asking the node for a session.");
    },
    connected: () => {
      say("Connected", `By ${NAMES[socket.transport]}${socket.upgrading ? ", trying WebSocket beside it" : ""}.`);
    },
    waiting: ({ reason, retryAt }) => {
      const tick = () => {
        const left = Math.max(0, retryAt - performance.now());
        say("Interrupted", `${REASONS[reason] ?? reason} Trying again in ${(left / 1000).toFixed(1)} s.`);
      };
      tick();
      countdown = setInterval(tick, 100);
    },
    closed: ({ reason, message }) => {
      if (reason === "io client disconnect") say("Disconnected", "You left. The node has forgotten this socket.");
      else say("Dismissed", message ?? "The node ended this connection.");
    },
  };

  socket.watch("status", (state, told) => {
    clearInterval(countdown);
    document.body.dataset.state = state;
    describe[state](told);
    button.textContent = { connected: "Disconnect", connecting: "Disconnect", waiting: "Try now", closed: "Connect" }[state];
    if (state !== "connecting") announce(headline.textContent);
  });

  const wanted = () => document.querySelector("[name=transports]:checked").value.split(" ");
  const reconnect = () => {
    socket.disconnect();
    socket.transports = wanted();
    socket.connect();
  };
  for (const choice of document.getElementsByName("transports")) choice.addEventListener("change", reconnect);
  button.addEventListener("click", () => {
    if (socket.state === "closed" || socket.state === "waiting") socket.connect();
    else socket.disconnect();
  });
  socket.transports = wanted();

  showRoute(socket, wanted, () => {
    if (socket.state === "connected") describe.connected();
    if (socket.transport === "websocket") announce("Upgraded to WebSocket");
  });
}

/** The steps of a connection as stations on a line, each with the time it took from the start to get there. */
function showRoute(socket, wanted, moved) {
  const route = element("route");
  let started = 0;
  let stations = new Map();

  const station = (stage, name) => {
    const item = make("li");
    item.append(make("span", "name", name), make("span", "time"));
    stations.set(stage, item);
    return item;
  };
  const reach = (stage) => {
    const item = stations.get(stage);
    if (!item || item.dataset.reached) return;
    item.dataset.reached = "yes";
    item.querySelector(".time").textContent = `${Math.round(performance.now() - started)} ms`;
    // The probe may be answered before the namespace: the furthest station reached is where we are.
    for (const other of stations.values()) other.removeAttribute("aria-current");
    [...stations.values()].findLast((other) => other.dataset.reached).setAttribute("aria-current", "step");
  };

  const lay = () => {
    const transports = wanted();
    stations = new Map();
    const items = [station("open", transports[0] === "polling" ? "Polling" : "WebSocket"), station("joined", "Namespace")];
    if (transports.length > 1) items.push(station("probe", "Probe"), station("upgrade", "WebSocket"));
    route.replaceChildren(...items);
  };
  lay();

  socket.watch("status", (state) => (state === "waiting" || state === "closed") && lay());
  socket.watch("stage", (stage) => {
    if (stage === "start") {
      started = performance.now();
      return lay();
    }
    if (stage === "upgrade refused") {
      for (const name of ["probe", "upgrade"]) stations.get(name).querySelector(".time").textContent = "not possible";
    }
    reach(stage);
    if (stage === "upgrade" || stage === "upgrade refused") moved();
    return undefined;
  });
}

/** Echoes once a second while the page is looked at, and draws the last minute. */
export function showLatency(socket) {
  const samples = [];
  let echoes = 0;
  const line = element("trace-line");
  const area = element("trace-area");

  const measure = async () => {
    if (socket.state !== "connected" || document.hidden) return;
    const sent = performance.now();
    try {
      await socket.request("echo", ++echoes);
    } catch {
      return; // The connection went; its own display says so.
    }
    samples.push(performance.now() - sent);
    if (samples.length > SAMPLES) samples.shift();
    draw();
  };

  const draw = () => {
    const sorted = samples.toSorted((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)];
    // One hiccup must not flatten the rest of the minute: it is cut off at the top.
    const ceiling = Math.max(2, Math.min(sorted.at(-1) * 1.15, median * 4));
    const x = (index) => 240 - ((samples.length - 1 - index) * 240) / (SAMPLES - 1);
    const y = (value) => 54 - Math.min(1, value / ceiling) * 52;
    const points = samples.map((value, index) => `${x(index).toFixed(1)} ${y(value).toFixed(1)}`);
    line.setAttribute("d", `M${points.join("L")}`);
    area.setAttribute("d", `M${x(0).toFixed(1)} 56L${points.join("L")}L240 56Z`);
    element("latency").textContent = milliseconds(samples.at(-1));
    element("spread").textContent =
      `Best ${milliseconds(sorted[0])}, median ${milliseconds(median)}, worst ${milliseconds(sorted.at(-1))} ms of ${sorted.length}`;
  };

  setInterval(measure, 1000);
  socket.watch("stage", (stage) => {
    // Each transport has a round trip of its own.
    if (stage === "start" || stage === "upgrade") samples.length = 0;
  });
}

const milliseconds = (value) => (value < 10 ? value.toFixed(1) : Math.round(value).toString());

/** The node's own numbers, which it sends every two seconds once asked. */
export function showNode(socket) {
  const counts = element("counts");
  const shown = new Map();
  let previous = null;

  const show = (label, value) => {
    if (!shown.has(label)) {
      const row = make("div");
      const cell = make("dd");
      row.append(make("dt", "", label), cell);
      counts.append(row);
      shown.set(label, cell);
    }
    shown.get(label).textContent = value;
  };

  const rate = (name, stats, at) => {
    if (!previous || previous.stats.node !== stats.node || stats[name] < previous.stats[name]) return "";
    const perSecond = (stats[name] - previous.stats[name]) / ((at - previous.at) / 1000);
    return `, ${perSecond < 10 ? perSecond.toFixed(1) : whole(Math.round(perSecond))}/s`;
  };

  const update = (stats) => {
    if (typeof stats?.node !== "string") return;
    const at = performance.now();
    const { polling = 0, websocket = 0 } = stats.connections ?? {};
    element("node-id").textContent = stats.node;
    const total = Math.max(1, polling + websocket);
    element("share-websocket").style.flexGrow = websocket / total;
    element("share-polling").style.flexGrow = polling / total;
    show("By WebSocket", whole(websocket));
    show("By polling", whole(polling));
    show("Sockets", whole(stats.sockets));
    show("Rooms", whole(stats.rooms));
    show("Events in", whole(stats.events_in) + rate("events_in", stats, at));
    show("Events out", whole(stats.events_out) + rate("events_out", stats, at));
    show("Up for", duration(stats.uptime));
    show("Cluster", `${stats.adapter}, ${stats.nodes === 1 ? "1 node" : `${whole(stats.nodes)} nodes`}`);
    show("Version", stats.version);
    previous = { stats, at };
  };

  socket.on("stats", update);
  socket.watch("status", async (state) => {
    if (state !== "connected") return;
    previous = null;
    try {
      const [stats] = await socket.request("stats", true);
      update(stats);
    } catch {
      // Lost again before the answer: the next connection asks anew.
    }
  });
}

const whole = (number) => (number ?? 0).toLocaleString("en");

function duration(seconds) {
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first === -1) return "0 s";
  const [name, size] = units[first];
  const major = `${Math.floor(seconds / size)} ${name}`;
  const next = units[first + 1];
  return next ? `${major} ${Math.floor((seconds % size) / next[1])} ${next[0]}` : `${Math.floor(seconds)} s`;
}

/** The packets themselves. Rendered only while somebody looks. */
export function showWire(socket) {
  const details = element("wire");
  const list = element("packets");
  const packets = [];

  const row = ({ direction, transport, text }) => {
    const item = make("li", direction);
    item.title = text;
    item.append(
      make("span", "way", direction === "in" ? "←" : "→"),
      make("span", "unseen", direction === "in" ? "received by" : "sent by"),
      make("span", "by", { polling: "poll", websocket: "ws" }[transport] ?? ""),
      make("code", "", text),
    );
    return item;
  };

  let due = false;
  const draw = () => {
    due = false;
    // Who scrolled down is reading: the list waits until they are back at the top.
    if (details.open && list.scrollTop === 0) list.replaceChildren(...packets.map(row));
  };
  const schedule = () => {
    if (due || !details.open) return;
    due = true;
    requestAnimationFrame(draw);
  };

  socket.watch("packet", (direction, transport, packet) => {
    packets.unshift({ direction, transport, text: excerpt(packet) });
    if (packets.length > PACKETS) packets.pop();
    schedule();
  });
  details.addEventListener("toggle", schedule);
  list.addEventListener("scrollend", schedule);
  details.open = matchMedia("(min-width: 75rem)").matches;
}

function excerpt(packet) {
  if (typeof packet !== "string") return `‹${whole(packet.length)} bytes›`;
  return packet.length > SHOWN_OF_PACKET ? `${packet.slice(0, SHOWN_OF_PACKET)}…` : packet;
}
