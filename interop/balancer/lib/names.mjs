// A name server with the answers of Docker's: addresses of containers that come and go.

import dgram from "node:dgram";
import { once } from "node:events";

const A = 1;
const NO_SUCH_NAME = 3;

export class Names {
  /** @param {Record<string, string[]>} addresses by name; to be changed at will */
  static async start(addresses) {
    const socket = dgram.createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    const names = Object.assign(new Names(), { socket, addresses, port: socket.address().port });
    socket.on("message", (query, { port, address }) => socket.send(names.answer(query), port, address));
    return names;
  }

  /** RFC 1035, as far as a question for one name goes. */
  answer(query) {
    const labels = [];
    let at = 12;
    for (; query[at] > 0; at += 1 + query[at]) labels.push(query.toString("ascii", at + 1, at + 1 + query[at]));
    const question = query.subarray(12, at + 5);
    const known = this.addresses[labels.join(".")] ?? [];
    const found = query.readUInt16BE(at + 1) === A ? known : [];
    const header = Buffer.from([query[0], query[1], 0x81, 0x80 | (known.length === 0 ? NO_SUCH_NAME : 0), 0, 1, 0, found.length, 0, 0, 0, 0]);
    // The name of the question, a record of class IN, good for a second, four bytes long.
    const records = found.map((address) => Buffer.from([0xc0, 12, 0, A, 0, 1, 0, 0, 0, 1, 0, 4, ...address.split(".").map(Number)]));
    return Buffer.concat([header, question, ...records]);
  }

  end() {
    this.socket.close();
  }
}
