import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ConflictPolicy,
  conflictPolicies,
  type ExpiryPolicy,
  expiryPolicies,
} from "../../shared/backup/selection.ts";
import { askKeys, heldBy, type Key, type Keyspace, undo, withLive } from "./live.ts";

/** The world's clock begins there; backups and requests are some seconds later. */
const begin = Date.UTC(2026, 0, 1);
const past = begin - 86_400_000;
const future = begin + 86_400_000;

const key = fc.record({
  db: fc.constantFrom(0, 0, 0, 1),
  name: fc.constantFrom("user:1", "user:2", "user:3", "other:1"),
  text: fc.constantFrom("a", "b"),
  expireTimeMs: fc.constantFrom(-1, past, future, future + 1000),
});
const keyspace = fc.uniqueArray(key, { selector: ({ db, name }) => `${db}:${name}`, maxLength: 8 });
/** A live server drops what has expired. */
const liveKeyspace = keyspace.map((keys) => keys.filter(({ expireTimeMs }) => expireTimeMs !== past));

const spaceOf = (keys: readonly Key[]): Keyspace =>
  Object.fromEntries(
    keys.map(({ db = 0, name, text, expireTimeMs = -1 }) => [`${db}:${name}`, { text, expireTimeMs }] as const).sort(),
  );

/** What a restore of `user:*` of database 0 makes of a keyspace, but for the time by which SHIFT moves expiries. */
function expected(
  backedUp: Keyspace,
  live: Keyspace,
  policy: ConflictPolicy,
  expiry: ExpiryPolicy,
  shift: number,
): Keyspace {
  const wanted = Object.entries(backedUp).filter(
    ([name, { expireTimeMs }]) => name.startsWith("0:user:") && expireTimeMs !== past,
  );
  if (policy === "FAIL" && wanted.some(([name]) => live[name] !== undefined)) return live;
  const after = { ...live };
  for (const [name, { text, expireTimeMs }] of wanted) {
    const moved = expireTimeMs === -1 || expiry === "PERSIST" ? -1 : expireTimeMs + (expiry === "SHIFT" ? shift : 0);
    if (live[name] === undefined || policy === "REPLACE") after[name] = { text, expireTimeMs: moved };
  }
  return Object.fromEntries(Object.entries(after).sort());
}

describe.each(conflictPolicies)("keys restored with the policy %s", (conflictPolicy) => {
  it.each(
    expiryPolicies,
  )("and expiry %s are as a model says, and as before once that is undone", async (expiryPolicy) => {
    await fc.assert(
      fc.asyncProperty(keyspace, liveKeyspace, fc.boolean(), async (backedUp, live, execute) => {
        const world = await withLive(backedUp, live);
        const before = heldBy(world);
        const request = { conflictPolicy, expiryPolicy, database: 0, execute };
        const operation = await askKeys(world, "user:*", request);
        const snapshot = Date.parse(operation.selection?.files[0]?.snapshotTime ?? "");
        const shift = Date.parse(operation.createTime) - snapshot;
        expect(shift).toBeGreaterThan(0);
        const model = expected(spaceOf(backedUp), spaceOf(live), conflictPolicy, expiryPolicy, shift);
        expect(heldBy(world)).toEqual(execute ? model : before);
        if (!execute || operation.error !== undefined) return;
        expect((await undo(world, operation)).error).toBeUndefined();
        expect(heldBy(world)).toEqual(before);
      }),
      { numRuns: 40 },
    );
  });
});
