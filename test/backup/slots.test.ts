import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gapIn, slotCount, slotOutside, slotRanges, slotsText } from "../../shared/backup/slots.ts";

describe("slots as text", () => {
  it("are as CLUSTER NODES writes them, stretches that touch in one", () => {
    const text = slotsText([
      [7000, 7000],
      [100, 5460],
      [0, 99],
    ]);
    expect(text).toBe("0-5460 7000");
    expect(slotsText([])).toBe("");
  });

  it("come back as they were", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: slotCount - 1 }), { minLength: 1, maxLength: 50 }), (slots) => {
        const text = slotsText(slots.map((slot) => [slot, slot]));
        const back = slotRanges(text).flatMap(([first, last]) =>
          Array.from({ length: last - first + 1 }, (_, n) => first + n),
        );
        expect(back).toEqual([...slots].sort((a, b) => a - b));
        expect(slotsText(slotRanges(text))).toBe(text);
      }),
    );
  });
});

describe("sets of slots", () => {
  it("that cover all slots once have no gap, however they are dealt; with one slot less or twice they have", () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: slotCount - 1 }), { maxLength: 40 });
    fc.assert(
      fc.property(cuts, fc.integer({ min: 1, max: 8 }), fc.nat(), (at, shards, pick) => {
        const borders = [0, ...[...at].sort((a, b) => a - b), slotCount];
        const dealt = Array.from({ length: shards }, (_, shard) =>
          slotsText(
            borders
              .slice(1)
              .map((end, n): [number, number] => [borders[n] ?? 0, end - 1])
              .filter((_range, n) => n % shards === shard),
          ),
        );
        expect(gapIn(dealt)).toBeUndefined();
        const slot = pick % slotCount;
        expect(gapIn([...dealt, `${slot}`])).toBe(`slot ${slot} is in two of them`);
        const without = dealt.map((text) =>
          slotsText(
            slotRanges(text).flatMap(([first, last]): [number, number][] =>
              slot < first || slot > last
                ? [[first, last]]
                : [[first, slot - 1] as [number, number], [slot + 1, last] as [number, number]].filter(
                    ([a, b]) => a <= b,
                  ),
            ),
          ),
        );
        expect(gapIn(without)).toBe(`slot ${slot} is in none of them`);
      }),
    );
  });

  it.each([
    [[], "slot 0 is in none of them"],
    [["0-16384"], "slot 16384 does not exist"],
    [["0-8000", "8000-16383"], "slot 8000 is in two of them"],
  ])("%j have a gap: %s", (texts, gap) => {
    expect(gapIn(texts)).toBe(gap);
  });
});

it("the first slot outside a text is the first of the stretches that it does not name", () => {
  const some = fc.uniqueArray(fc.nat({ max: 60 }), { maxLength: 40 });
  fc.assert(
    fc.property(some, some, (held, own) => {
      const ranges = (slots: number[]) => slotRanges(slotsText(slots.map((slot) => [slot, slot])));
      const first = [...held].sort((a, b) => a - b).find((slot) => !own.includes(slot));
      expect(slotOutside(ranges(held), slotsText(ranges(own)))).toBe(first);
    }),
  );
});
