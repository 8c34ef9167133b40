import assert from "node:assert/strict";
import { until } from "../../lib/wait.mjs";
import { Ledger } from "./ledger.mjs";

/** Time between two events of one stream, in milliseconds. */
export const PACE = 10;
/** So many events of each stream come before anything happens, and again when it is over. */
const RUN = 50;

/**
 * Numbered events of every node for the room `all`, while `act` runs; then what became of them: nothing twice, nothing out of
 * order, and nothing lost without somebody who knows. `crowd` is the two clients of each of `nodes`, in their order. `counted`
 * says that each node counts what it lacks.
 */
export async function numbered(t, nodes, crowd, act, counted = false) {
  const ledger = new Ledger(crowd);
  const statuses = () => Promise.all(nodes.map((node) => (node.kind === "ours" ? node.do("status") : {})));
  const before = await statuses();
  // Of this test only, whatever node they are of.
  const streams = nodes.map((_, index) => `${t.name.slice(0, 12)}-${index}`);
  await Promise.all(nodes.map((node, index) => node.do("stream-start", { to: ["all"], event: "tick", stream: streams[index], interval: PACE })));
  const behind = (least) => crowd.flatMap((member) => streams.filter((stream) => ledger.last(member, stream) < least(stream)).map((stream) => `${stream} at ${member.name}`));
  const flows = (least) => until(() => behind(least).length === 0, () => `streams ${behind(least)}`, 30_000);
  await flows(() => RUN);
  const notes = await act(ledger, streams);
  // Everybody hears everybody again.
  const recovered = performance.now();
  const heads = new Map(streams.map((stream, index) => [stream, ledger.last(crowd[2 * index], stream)]));
  await flows((stream) => heads.get(stream) + RUN);
  const recovery = Math.round(performance.now() - recovered);
  const stopped = await Promise.all(nodes.map((node, index) => node.do("stream-stop", { stream: streams[index] })));
  await flows((stream) => stopped[streams.indexOf(stream)].sent - 1);
  const lost = nodes.map((_, to) => nodes.map((_, from) => ledger.account(crowd[2 * to], streams[from], stopped[from].sent)));
  let afterwards = await statuses();
  const grown = (index, field) => (nodes[index].kind === "ours" ? afterwards[index][field] - before[index][field] : 0);
  if (counted) {
    // Said a moment later.
    const missing = lost.map((row) => row.reduce((sum, count) => sum + count, 0));
    const missed = () => nodes.map((_, index) => grown(index, "missed"));
    const isCounted = async () => {
      afterwards = await statuses();
      return missed().every((count, index) => count >= missing[index]);
    };
    await until(isCounted, () => `${missing} missing events to be counted, which are ${missed()}`);
    assert.deepEqual(missed(), missing, "what each node lacks, it has counted");
  }
  for (const [index, member] of crowd.entries()) {
    const sum = streams.map((stream, from) => ledger.account(member, stream, stopped[from].sent));
    assert.deepEqual(sum, lost[Math.floor(index / 2)], "both clients of a node got the same");
    assert.equal(sum[Math.floor(index / 2)], 0, "of the own node everything arrives, whatever the broker does");
  }
  const total = lost.flat().reduce((sum, count) => sum + count, 0);
  const sent = stopped.map((stream) => stream.sent);
  const of = (field) => nodes.map((_, index) => grown(index, field)).join(" ");
  t.diagnostic(
    `${sent.reduce((a, b) => a + b, 0)} events sent, ${notes ?? ""}lost per receiving and sending node ${JSON.stringify(lost)}; ` +
      `refused ${stopped.map(({ refused }) => refused).join(" ")}, dropped out ${of("dropped_out")}, dropped in ${of("dropped_in")}, missed ${of("missed")}, ` +
      `gaps ${of("gaps")}, reconnects ${of("reconnects")}; 0 twice, 0 out of order; ${RUN} events of all at all within ${recovery} ms`,
  );
  for (const [to, row] of lost.entries()) {
    for (const [from, count] of row.entries()) {
      // Nothing is lost silently: the sender counted it, or the receiver knows of a gap.
      const known = grown(from, "dropped_out") + stopped[from].refused + grown(to, "dropped_in");
      assert.ok(count <= known || grown(to, "gaps") > 0 || grown(from, "gaps") > 0, `${count} events of node ${from} lost on the way to node ${to}, and nobody knows`);
    }
  }
  return { total, lost, sent };
}

/** What nodes that do not come up again have to say. */
export const trouble = (nodes) => `all adapters to be up; ${nodes.map(({ name, stderr }) => `${name} says: ${stderr.slice(-1_500)}`).join("\n")}`;
