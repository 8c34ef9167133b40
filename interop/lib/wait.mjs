import { setTimeout as pause } from "node:timers/promises";

/** How long a condition may take before a test gives up; generous, because test machines are busy. */
export const PATIENCE = 10_000;

/** Asks again and again until `condition` gives something truthy, which is returned. */
export async function until(condition, what = () => "condition", timeout = PATIENCE) {
  const deadline = performance.now() + timeout;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`gave up after ${timeout} ms waiting for ${what()}`);
    await pause(5);
  }
}

/** The promise, or an error that names what did not come in time. */
export async function within(promise, what, timeout = PATIENCE) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${timeout} ms`)), timeout);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
