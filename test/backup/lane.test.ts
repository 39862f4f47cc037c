import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { laneKey, lanesOf, type Site } from "../../shared/backup/lane.ts";

const site = fc.record({
  host: fc.option(
    fc.nat({ max: 20 }).map((n) => `10.0.0.${n}`),
    { nil: undefined },
  ),
  zone: fc.constantFrom("a", "b", "c", undefined),
});
const sites = fc.array(site, { minLength: 1, maxLength: 300 });
const most = fc.integer({ min: 1, max: 250 });
const alone = (count: number, zones: string[]): Site[] =>
  Array.from({ length: count }, (_, n) => ({ zone: zones[n % zones.length] }));

describe("lanes", () => {
  it("hold every shard once, and no lane is empty or one more than asked for", () => {
    fc.assert(
      fc.property(sites, most, (all, limit) => {
        const lanes = lanesOf(all, limit);
        expect(lanes.flat().sort((a, b) => a - b)).toEqual(all.map((_, shard) => shard));
        expect(lanes.length).toBeLessThanOrEqual(limit);
        expect(lanes.every((lane) => lane.length > 0)).toBe(true);
      }),
    );
  });

  it("never stand on one host two at a time", () => {
    fc.assert(
      fc.property(sites, most, (all, limit) => {
        const lanesOfHost = new Map<string, Set<number>>();
        for (const [at, lane] of lanesOf(all, limit).entries())
          for (const shard of lane) {
            const host = all[shard]?.host;
            if (host !== undefined) lanesOfHost.set(host, (lanesOfHost.get(host) ?? new Set()).add(at));
          }
        expect([...lanesOfHost.values()].every((found) => found.size === 1)).toBe(true);
      }),
    );
  });

  it("are as many as are allowed, and about as long as each other, where every shard has a host of its own", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), most, (count, limit) => {
        const lengths = lanesOf(alone(count, ["a"]), limit).map(({ length }) => length);
        expect(lengths.length).toBe(Math.min(count, limit));
        expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it("stand in different zones at each place, where each lane has shards in every zone", () => {
    const all = alone(27, ["a", "b", "c", "b", "c", "a", "c", "a", "b"]);
    const lanes = lanesOf(all, 3);
    for (let place = 0; place < 3; place++)
      expect(new Set(lanes.map((lane) => all[lane[place] ?? -1]?.zone)).size).toBe(3);
  });

  it("have keys of their own, and what is left of one has another in each round", () => {
    const keys = [{ shards: [3, 4] }, { shards: [4, 5] }, { shards: [3], round: 1 }, { shards: [3], round: 2 }];
    expect(new Set(keys.map(laneKey)).size).toBe(keys.length);
  });
});
