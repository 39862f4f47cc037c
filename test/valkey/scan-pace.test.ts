import { expect, it } from "vitest";
import { Pace } from "../../shared/valkey/scan/pace.ts";

/** Asks for as many keys as it may, over and over, of a server that takes so long for each group of so large values. */
function driven(pace: Pace, { rounds, tookMs, valueBytes }: { rounds: number; tookMs: number; valueBytes: number }) {
  let now = 1_000_000;
  for (let round = 0; round < rounds; round++) {
    now += pace.waitMs(now);
    const keys = Math.min(32, pace.limit);
    pace.sent(keys, now);
    now += tookMs;
    pace.received(keys, keys * valueBytes, now - tookMs, now);
  }
  return now - 1_000_000;
}

it("begins with few keys, and asks for many once it has seen that they are small", () => {
  const pace = new Pace();
  expect(pace.limit).toBe(4);
  driven(pace, { rounds: 100, tookMs: 1, valueBytes: 100 });
  expect(pace.limit).toBe(1_024);
});

it("asks for no more than the server can hold for us without harm", () => {
  const pace = new Pace();
  driven(pace, { rounds: 300, tookMs: 10, valueBytes: 400_000 });
  expect(pace.limit).toBe(10);
  driven(pace, { rounds: 300, tookMs: 10, valueBytes: 64e6 });
  expect(pace.limit).toBe(1);
});

it("slows down for a server that has other things to do, and pauses for it", () => {
  const pace = new Pace();
  driven(pace, { rounds: 100, tookMs: 1, valueBytes: 100 });
  const spent = driven(pace, { rounds: 20, tookMs: 150, valueBytes: 100 });
  expect(pace.limit).toBe(256);
  expect(spent).toBeGreaterThan(20 * 150 + 10 * 100);
  driven(pace, { rounds: 100, tookMs: 1, valueBytes: 100 });
  expect(pace.limit).toBe(1_024);
});

it("takes a server that is far away for none that is slow", () => {
  const pace = new Pace();
  driven(pace, { rounds: 100, tookMs: 250, valueBytes: 100 });
  expect(pace.limit).toBe(1_024);
});

it.each([100, 10_000, 1_000_000])("keeps to %i keys in a second, and in a twentieth of one", (rate) => {
  const pace = new Pace(rate);
  let keys = 0;
  let now = 0;
  while (now < 10_000) {
    now += Math.max(pace.waitMs(now), 0.01);
    const asked = pace.limit;
    expect(asked).toBeLessThanOrEqual(Math.ceil(rate / 20));
    pace.sent(asked, now);
    pace.received(asked, asked, now, now);
    keys += asked;
  }
  expect(keys / 10).toBeLessThanOrEqual(rate * 1.06);
});
