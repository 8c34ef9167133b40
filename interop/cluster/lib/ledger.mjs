// What became of numbered events: who got which, what was lost, doubled or out of order.

import assert from "node:assert/strict";

export class Ledger {
  /** Follows the streams of `event` at these members. */
  constructor(members, event = "tick") {
    this.pages = new Map(members.map((member) => [member, new Map()]));
    this.event = event;
    for (const member of members) member.socket.on(event, (stream, number) => this.note(member, stream, number));
  }

  note(member, stream, number) {
    const page = this.pages.get(member);
    if (!page.has(stream)) page.set(stream, []);
    page.get(stream).push(number);
  }

  numbers(member, stream) {
    return this.pages.get(member).get(stream) ?? [];
  }

  /** The last number that a member has of a stream; -1 before the first. */
  last(member, stream) {
    return this.numbers(member, stream).at(-1) ?? -1;
  }

  /** Nothing twice, nothing out of order. Returns how many numbers below `sent` a member never got. */
  account(member, stream, sent) {
    const numbers = this.numbers(member, stream);
    const seen = new Set();
    const [twice, behind] = [[], []];
    let highest = -1;
    for (const number of numbers) {
      if (seen.has(number)) twice.push(number);
      else if (number < highest) behind.push(number);
      seen.add(number);
      highest = Math.max(highest, number);
    }
    assert.deepEqual({ twice: twice.slice(0, 20), behind: behind.slice(0, 20) }, { twice: [], behind: [] }, `${stream} at ${member.name}: ${twice.length} twice, ${behind.length} out of order of ${numbers.length}`);
    return sent - seen.size;
  }
}
