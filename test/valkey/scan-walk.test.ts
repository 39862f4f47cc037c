import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { slotOf } from "../../shared/valkey/cluster/slot.ts";
import { fingerprintKey } from "../../shared/valkey/scan/fingerprint.ts";
import { RecentKeys } from "../../shared/valkey/scan/recent-keys.ts";
import { ScanReply } from "../../shared/valkey/scan/scan-reply.ts";
import { Walk } from "../../shared/valkey/scan/walk.ts";
import { ScannedTable } from "./scanned-table.ts";

const secret = fingerprintKey(new Uint8Array(16));
const named = (count: number, prefix = "key"): string[] => Array.from({ length: count }, (_, n) => `${prefix}:${n}`);

/** Keys of a call at most; the server's own 1,000 would be all of these tables at once. */
const countOfCall = 4;

interface Outcome {
  named: string[];
  /** What SCAN itself answered, repetitions included. */
  answered: number;
  isRefused: boolean;
}

/** Walks through the table to its end, and lets something happen before each call, and as each ends. */
function walked(
  table: ScannedTable,
  capacity: number,
  between: (call: number) => void,
  within: (call: number) => void = () => undefined,
): Outcome {
  const recent = new RecentKeys(secret, capacity);
  const walk = new Walk("0", false, recent);
  const outcome: Outcome = { named: [], answered: 0, isRefused: false };
  let cursor = 0n;
  for (let call = 0; !walk.isOver; call++) {
    between(call);
    const probe = () => (recent.horizon > 0n ? [table.scan(0n, 1).cursor] : []);
    const before = probe();
    const found = table.scan(cursor, countOfCall);
    within(call);
    const reply = replyOf(found, [...before, ...probe()]);
    outcome.answered += found.keys.length;
    cursor = found.cursor;
    try {
      outcome.named.push(...namesOf(walk.take(reply).keys));
    } catch (error) {
      expect(error).toMatchObject({ code: "ABORTED" });
      return { ...outcome, isRefused: true };
    }
  }
  return outcome;
}

function replyOf({ cursor, keys }: { cursor: bigint; keys: string[] }, probed: readonly bigint[] = []): ScanReply {
  const reply = new ScanReply(probed.length > 0);
  reply.cursor = String(cursor);
  reply.probed.push(...probed.map(String));
  for (const key of keys) {
    reply.keys.append(Buffer.from(key), 0, key.length);
    reply.keys.close();
  }
  return reply;
}

const namesOf = ({ bytes, ends }: ScanReply["keys"]): string[] =>
  ends.map((end, index) => Buffer.from(bytes.subarray(ends[index - 1] ?? 0, end)).toString());

const action = fc.oneof(
  fc.record({ kind: fc.constant("insert" as const), from: fc.nat(400), count: fc.nat(200) }),
  fc.record({ kind: fc.constant("remove" as const), from: fc.nat(400), count: fc.nat(400) }),
  fc.record({ kind: fc.constant("resize" as const), exponent: fc.integer({ min: 2, max: 10 }) }),
  fc.record({ kind: fc.constant("rehash" as const), buckets: fc.nat(2_000) }),
);

type Action = typeof action extends fc.Arbitrary<infer One> ? One : never;

function apply(table: ScannedTable, one: Action): void {
  if (one.kind === "resize") table.beginResize(one.exponent);
  else if (one.kind === "rehash") table.rehash(one.buckets);
  else
    for (let n = one.from; n < one.from + one.count; n++)
      if (one.kind === "insert") table.insert(`other:${n}`);
      else table.remove(`other:${n}`);
}

describe("a walk", () => {
  it("names each key once, and every one that was there throughout, whatever the table does meanwhile", () => {
    let repetitions = 0;
    let refusals = 0;
    fc.assert(
      fc.property(
        fc.array(fc.array(action, { maxLength: 3 }), { maxLength: 40 }),
        fc.integer({ min: 2, max: 9 }),
        fc.integer({ min: 0, max: 150 }),
        fc.constantFrom(4, 16, 64, 1_024),
        (story, exponent, stableCount, capacity) => {
          const table = new ScannedTable(exponent);
          const stable = named(stableCount);
          for (const name of stable) table.insert(name);
          const outcome = walked(
            table,
            capacity,
            (call) => {
              for (const one of story[call] ?? []) apply(table, one);
            },
            (call) => table.rehash(story[call]?.length ?? 0),
          );
          const distinct = new Set(outcome.named);
          expect(distinct.size).toBe(outcome.named.length);
          if (!outcome.isRefused) expect(stable.filter((name) => !distinct.has(name))).toEqual([]);
          if (capacity === 1_024) expect(outcome.isRefused).toBe(false);
          if (outcome.isRefused) refusals++;
          repetitions += outcome.answered - outcome.named.length;
        },
      ),
      { numRuns: 700, seed: 7 },
    );
    // Otherwise nothing was shown. The seed makes these the same in every run.
    expect(repetitions).toBeGreaterThan(500);
    expect(refusals).toBeGreaterThan(0);
  }, 120_000);

  it("needs to remember few keys for a table that shrinks by half", () => {
    const table = new ScannedTable(10);
    const names = named(700);
    for (const name of names) table.insert(name);
    const outcome = walked(table, 32, (call) => {
      if (call === 60) {
        for (const name of named(400)) table.remove(name);
        table.beginResize(9);
      }
      table.rehash(10);
    });
    expect(outcome.isRefused).toBe(false);
    expect(new Set(outcome.named).size).toBe(outcome.named.length);
    expect(outcome.named).toEqual(expect.arrayContaining(names.slice(400)));
  });

  it("is refused when nearly all keys go, and those that are left may have been forgotten", () => {
    const table = new ScannedTable(10);
    for (const name of named(700)) table.insert(name);
    const outcome = walked(table, 32, (call) => {
      if (call !== 100) return;
      for (const name of named(690)) table.remove(name);
      table.beginResize(2);
      table.rehash(1_024);
    });
    expect(outcome.isRefused).toBe(true);
  });

  it("is refused, too, when the table grows again by the end of the call that names forgotten keys", () => {
    const table = new ScannedTable(10);
    for (const name of named(700)) table.insert(name);
    const outcome = walked(
      table,
      32,
      (call) => {
        if (call !== 100) return;
        table.beginResize(2);
        table.rehash(1_024);
        table.beginResize(10);
      },
      (call) => {
        // Keys that have expired go with the call, and each takes the table a step on.
        if (call === 100) table.rehash(4);
      },
    );
    expect(new Set(outcome.named).size).toBe(outcome.named.length);
    expect(outcome.isRefused).toBe(true);
  });

  it("forgets a slot of a cluster with the next one, and knows a key again that a slot's table names twice", () => {
    const recent = new RecentKeys(secret);
    const walk = new Walk("0", true, recent);
    const [first, second] = ["{a}", "{b}"].sort((one, other) => slotOf(Buffer.from(one)) - slotOf(Buffer.from(other)));
    const cursorIn = (slot: string | undefined, cursor: bigint) =>
      (cursor << 14n) | BigInt(slotOf(Buffer.from(slot ?? "")));
    const take = (cursor: bigint, ...keys: string[]) => namesOf(walk.take(replyOf({ cursor, keys })).keys);
    expect(take(cursorIn(first, 4n), `${first}1`, `${first}2`)).toEqual([`${first}1`, `${first}2`]);
    expect(take(cursorIn(second, 1n), `${first}2`, `${first}3`, `${second}1`)).toEqual([`${first}3`, `${second}1`]);
    expect(take(0n, `${second}1`, `${second}2`)).toEqual([`${second}2`]);
    expect(walk.isOver).toBe(true);
  });

  it.each([
    ["is no number", "next"],
    ["goes back", "1"],
  ])("refuses a server whose cursor %s", (_what, cursor) => {
    const walk = new Walk("3", false, new RecentKeys(secret));
    const reply = replyOf({ cursor: 0n, keys: [] });
    reply.cursor = cursor;
    expect(() => walk.take(reply)).toThrow(expect.objectContaining({ code: "UNIMPLEMENTED" }));
  });
});
