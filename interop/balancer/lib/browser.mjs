// A polling client that keeps cookies, or not, and has an address of its own; each request is a connection of its own,
// so that nothing but the balancer's stickiness keeps it at its node.

import http from "node:http";
import { within } from "../../lib/wait.mjs";

const SEPARATOR = "\x1e";

export class Jar {
  cookies = new Map();

  take(headers) {
    for (const line of headers["set-cookie"] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
  }

  get header() {
    return this.cookies.size === 0 ? {} : { cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ") };
  }
}

export class PollingClient {
  /**
   * @param {{port: number}} cluster
   * @param {{jar?: Jar, address?: string}} options without a jar cookies are forgotten
   */
  constructor(cluster, { jar, address = "127.0.0.1" } = {}) {
    Object.assign(this, { cluster, jar, address, statuses: {}, queue: [], acks: 0 });
  }

  /** A request; its status is counted. */
  async request(method, body) {
    const path = `/socket.io/?EIO=4&transport=polling${this.sid ? `&sid=${this.sid}` : ""}`;
    const headers = { ...this.jar?.header, ...(body === undefined ? {} : { "content-type": "text/plain;charset=UTF-8", "content-length": Buffer.byteLength(body) }) };
    const request = http.request({ host: "127.0.0.1", port: this.cluster.port, localAddress: this.address, method, path, headers, agent: false });
    const answer = new Promise((resolve, reject) => {
      request.on("error", reject);
      request.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
        response.on("error", reject);
      });
    });
    request.end(body);
    const { status, headers: received, text } = await within(answer, `answer to ${method}`, 20_000);
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    this.jar?.take(received);
    return { status, text };
  }

  async packet() {
    while (this.queue.length === 0) {
      const { status, text } = await this.request("GET");
      if (status !== 200) throw new Error(`${status} ${text}`);
      this.queue.push(...text.split(SEPARATOR));
    }
    return this.queue.shift();
  }

  /** Opens a session and joins the namespace. */
  async open() {
    this.sid = JSON.parse((await this.packet()).slice(1)).sid;
    await this.request("POST", "40");
    while (!(await this.packet()).startsWith("40"));
    return this;
  }

  /** An event, and its acknowledgement. */
  async echo(text) {
    const id = (this.acks += 1);
    const { status, text: refusal } = await this.request("POST", `42${id}["echo",${JSON.stringify(text)}]`);
    if (status !== 200) throw new Error(`${status} ${refusal}`);
    for (;;) {
      const packet = await this.packet();
      if (packet === "2") await this.request("POST", "3");
      if (packet === `43${id}[${JSON.stringify(text)}]`) return;
    }
  }
}
