import { test } from "node:test";

/** After so many failures the rest of a suite has nothing more to tell, and each would wait for its patience to end. */
const MOST_FAILURES = 5;

/**
 * Tests of one set-up. `first` is what all others need: behind its failure, or behind many, they are skipped, so that a
 * node that does not start costs seconds and not minutes.
 */
export function steps() {
  let failures = 0;
  const step = (name, run, weight) =>
    test(name, async (t) => {
      if (failures >= MOST_FAILURES) return t.skip("because of what failed before");
      try {
        await run(t);
      } catch (error) {
        failures += weight;
        throw error;
      }
    });
  return { first: (name, run) => step(name, run, MOST_FAILURES), step: (name, run) => step(name, run, 1) };
}
