/**
 * The whole broker from a seed: simulated clients, a clock that stands still, a disk that loses, tears and fails, and no
 * sockets. `npm run simulate -- --seeds 10000` runs more, `--seed 17` one.
 */
import { expect, test } from "vitest";
import { runBroker } from "./seeds.ts";

const SEEDS = 300;
const TIMEOUT_MS = 120_000;

test("what clients were told holds after every crash of the broker", {
  timeout: TIMEOUT_MS,
}, () => {
  const seen = { lives: 0, messages: 0, redelivered: 0, dead: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { counts } = runBroker(seed);
    for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += counts[key];
  }
  // A run that saw nothing proved nothing.
  expect(seen.lives).toBeGreaterThan(SEEDS * 2);
  expect(seen.messages).toBeGreaterThan(SEEDS * 50);
  expect(seen.redelivered).toBeGreaterThan(SEEDS);
  expect(seen.dead).toBeGreaterThan(SEEDS);
});

test("the same seed does the same again", () => {
  for (const seed of [1, 2, 3]) expect(runBroker(seed).counts).toEqual(runBroker(seed).counts);
});
