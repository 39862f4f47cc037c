import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { laneKey, lanesOf } from "../../shared/backup/lane.ts";

describe("lanes", () => {
  it("hold every shard once, and no lane is empty or one more than asked for", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 250 }), (shardCount, most) => {
        const lanes = lanesOf(shardCount, most);
        expect(lanes.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: shardCount }, (_, shard) => shard));
        expect(lanes.length).toBe(Math.min(most, shardCount));
        expect(lanes.every((lane) => lane.length > 0)).toBe(true);
      }),
    );
  });

  it("have keys of their own, and what is left of one has another in each round", () => {
    const keys = [{ shards: [3, 4] }, { shards: [4, 5] }, { shards: [3], round: 1 }, { shards: [3], round: 2 }];
    expect(new Set(keys.map(laneKey)).size).toBe(keys.length);
  });
});
