import { describe, expect, it } from "vitest";
import type { Backup, BackupCollection } from "../../shared/backup/backup.ts";
import {
  assertReadable,
  counted,
  deferred,
  expiringAt,
  held,
  isComplete,
  purging,
  released,
  releasing,
  sealed,
  tombstoned,
  undeleted,
  unmarked,
  withFile,
} from "../../shared/backup/transition.ts";
import { StatusError } from "../../shared/error.ts";
import { backup, file } from "./catalogue.ts";

const now = "2026-11-21T12:00:00.000Z";
const before = "2026-11-21T11:59:59.999Z";
const after = "2026-11-21T12:00:00.001Z";
const hold = { reason: "audit", createTime: before, operation: "operations/hold-1" };
const deleting = { state: "DELETING", purgeTime: now } as const;
const erasing = { ...deleting, purgeStartTime: before } as const;

/** A backup that nothing may change, what happens to it, and what is then. */
function given(fields: Partial<Backup>) {
  const there = backup("2026-11-20", { expireTime: "2026-12-25T03:00:00.000Z", ...fields });
  const frozen = structuredClone(there);
  return {
    when(transition: (backup: Backup) => Backup | undefined) {
      return {
        /** All that is other than it was, `undefined` for a field that is gone. What is derived from it is not looked at. */
        thenBecomes(changes: Partial<Record<keyof Backup, unknown>>) {
          const expected: Record<string, unknown> = { ...frozen, ...changes };
          const found = Object.entries(transition(there) ?? {}).filter(([field]) => field in expected);
          expect(Object.fromEntries(found)).toEqual(expected);
          expect(there).toStrictEqual(frozen);
        },
        thenUnchanged() {
          expect(transition(there)).toBe(there);
          expect(there).toStrictEqual(frozen);
        },
        thenRefused(reason: string | RegExp) {
          const error = caught(() => transition(there));
          expect(error).toBeInstanceOf(StatusError);
          const message = reason instanceof RegExp ? expect.stringMatching(reason) : `${frozen.name}: ${reason}`;
          expect(error).toMatchObject({ code: "FAILED_PRECONDITION", message });
        },
      };
    },
  };
}

function caught(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return expect.unreachable("it was not refused");
}

describe("a file that arrives", () => {
  const [first, second, eleventh] = [file("0.rdb", 40), file("2.rdb", 2), file("10.rdb", 3)];
  const arrives = (arrived: typeof first) => (there: Backup) => withFile(there, arrived);

  it("is added, and its size counts", () => {
    given({ state: "CREATING", shardCount: 2, backupFiles: [first], totalSizeBytes: 40 })
      .when(arrives(second))
      .thenBecomes({ backupFiles: [first, second], totalSizeBytes: 42 });
  });
  it("stands in the order of its shard, not of the letters of its name", () => {
    given({ state: "CREATING", backupFiles: [first, eleventh] })
      .when(arrives(second))
      .thenBecomes({ backupFiles: [first, second, eleventh], totalSizeBytes: 45 });
    given({ state: "CREATING", backupFiles: [second, eleventh] })
      .when(arrives(first))
      .thenBecomes({ backupFiles: [first, second, eleventh], totalSizeBytes: 45 });
  });
  it("counts once, however often it is said", () => {
    given({ state: "CREATING", backupFiles: [first, second] })
      .when(arrives({ ...second, sizeBytes: 9_999 }))
      .thenUnchanged();
  });
  it.each(["ACTIVE", "DELETING"] as const)("is refused by a backup that is %s", (state) => {
    given({ state }).when(arrives(first)).thenRefused(`it is ${state}, files are added while it is CREATING`);
  });
});

describe("a set of files", () => {
  it.each([
    [1, 0, false],
    [1, 1, true],
    [3, 2, false],
    [3, 3, true],
    [0, 0, false],
  ])("of %i shards with %i files is complete: %s", (shardCount, count, expected) => {
    const backupFiles = Array.from({ length: count }, (_, shard) => file(`${shard}.rdb`, 1));
    expect(isComplete(backup("2026-11-20", { shardCount, backupFiles }))).toBe(expected);
  });
});

describe("a backup whose manifest was written", () => {
  const backupFiles = [file("0.rdb", 1)];
  it("is ACTIVE and CHECKED", () => {
    given({ state: "CREATING", verification: "UNVERIFIED", backupFiles })
      .when(sealed)
      .thenBecomes({ state: "ACTIVE", verification: "CHECKED" });
  });
  const shards = (slots: string[]) => slots.map((text, shard) => ({ ...file(`${shard}.rdb`, 1), slots: text }));
  it.each([
    ["POINT_IN_TIME", [{}]],
    ["PER_SHARD", [{}, {}]],
    ["FUZZY", [{ consistency: "FUZZY" }]],
    ["FUZZY", [{}, { consistency: "FUZZY" }]],
  ] as const)("says what its files show together: %s", (consistency, files) => {
    const several = files.map((fields, shard) => ({ ...file(`${shard}.rdb`, 1), ...fields }));
    const there = {
      state: "CREATING",
      shardCount: files.length,
      backupFiles: several,
    } as const;
    given(there).when(sealed).thenBecomes({ state: "ACTIVE", consistency });
  });
  it("is whole where its files have every slot of a cluster once, and refused otherwise", () => {
    const of = (...slots: string[]) =>
      given({ state: "CREATING", shardCount: slots.length, backupFiles: shards(slots) }).when(sealed);
    of("0-5460", "5461-16383").thenBecomes({ state: "ACTIVE" });
    of("0-5460", "5462-16383").thenRefused("its files do not make a whole cluster: slot 5461 is in none of them");
    of("0-16382").thenRefused("its files do not make a whole cluster: slot 16383 is in none of them");
  });
  it("is refused while a file is missing", () => {
    given({ state: "CREATING", shardCount: 3, backupFiles }).when(sealed).thenRefused("1 of 3 files are there");
  });
  it.each(["ACTIVE", "DELETING"] as const)("is refused where it is %s", (state) => {
    given({ state, backupFiles }).when(sealed).thenRefused(`it is ${state}`);
  });
});

describe("a tombstone", () => {
  const put = (there: Backup) => tombstoned(there, now, 3_600, []);
  it("can be taken away until the grace is over", () => {
    given({}).when(put).thenBecomes({ state: "DELETING", purgeTime: "2026-11-21T13:00:00.000Z" });
  });
  it("without grace is over at once", () => {
    given({})
      .when((there) => tombstoned(there, now, 0, []))
      .thenBecomes({ state: "DELETING", purgeTime: now });
  });
  it.each(["CREATING", "DELETING"] as const)("is not put on a backup that is %s", (state) => {
    given({ state }).when(put).thenRefused(`it is ${state}`);
  });
  it("is not put on what is held", () => {
    given({ hold }).when(put).thenRefused("it is held: audit");
  });
  it("is not put on what somebody reads", () => {
    given({})
      .when((there) => tombstoned(there, now, 0, ["operations/restore-7", "operations/export-8"]))
      .thenRefused("it is in use by operations/restore-7, operations/export-8");
  });
});

describe("an undeletion", () => {
  const undo = (there: Backup) => undeleted(there, now);
  it("takes the tombstone away and leaves the rest as it was", () => {
    given(deleting).when(undo).thenBecomes({ state: "ACTIVE", purgeTime: undefined });
  });
  it("gives one more day to what had expired, or the next sweep would take it again", () => {
    given({ ...deleting, expireTime: "2026-11-01T00:00:00.000Z" })
      .when(undo)
      .thenBecomes({ state: "ACTIVE", purgeTime: undefined, expireTime: "2026-11-22T12:00:00.000Z" });
  });
  it("gives nothing to what has a day to live anyway", () => {
    given({ ...deleting, expireTime: "2026-11-22T12:00:00.000Z" })
      .when(undo)
      .thenBecomes({ state: "ACTIVE", purgeTime: undefined });
    given({ ...deleting, expireTime: "2026-11-22T11:59:59.999Z" })
      .when(undo)
      .thenBecomes({ state: "ACTIVE", purgeTime: undefined, expireTime: "2026-11-22T12:00:00.000Z" });
  });
  it("comes too late once erasing has begun", () => {
    given(erasing).when(undo).thenRefused(`it is being erased since ${before}`);
  });
  it.each(["CREATING", "ACTIVE"] as const)("is refused where the backup is %s", (state) => {
    given({ state }).when(undo).thenRefused(`it is ${state}, nothing is to be undone`);
  });
});

describe("an erasure", () => {
  const begin = (there: Backup) => purging(there, now, []);
  it("begins once the grace is over, to the millisecond", () => {
    given(deleting).when(begin).thenBecomes({ purgeStartTime: now });
    given({ ...deleting, purgeTime: after })
      .when(begin)
      .thenRefused(`its grace lasts until ${after}`);
  });
  it("that has begun goes on, whatever has been asked since", () => {
    given({ ...erasing, hold })
      .when((there) => purging(there, before, ["operations/restore-7"]))
      .thenUnchanged();
  });
  it.each(["CREATING", "ACTIVE"] as const)("is refused where the backup is %s", (state) => {
    given({ state, purgeTime: before }).when(begin).thenRefused(`it is ${state}, not DELETING`);
  });
  it("is refused where nobody said until when it can be undone", () => {
    given({ state: "DELETING" })
      .when(begin)
      .thenRefused(/not DELETING/);
  });
  it("is refused of what is held", () => {
    given({ ...deleting, hold })
      .when(begin)
      .thenRefused("it is held: audit");
  });
  it("is refused of what somebody reads", () => {
    given(deleting)
      .when((there) => purging(there, now, ["operations/restore-7", "operations/export-8"]))
      .thenRefused("it is in use by operations/restore-7, operations/export-8");
  });
});

describe("a hold", () => {
  const put = (there: Backup) => held(there, "court", "operations/hold-2", now);
  it("says why, since when and by whom", () => {
    const expected = { hold: { reason: "court", createTime: now, operation: "operations/hold-2" } };
    given({}).when(put).thenBecomes(expected);
    given(deleting).when(put).thenBecomes(expected);
  });
  it("asked again by the same operation is the one that is there", () => {
    given({ hold: { ...hold, operation: "operations/hold-2" } })
      .when(put)
      .thenUnchanged();
  });
  it("is not put over another", () => {
    given({ hold }).when(put).thenRefused("it is held already: audit");
  });
  it("is not put on what is still being taken, nor on what is being erased", () => {
    given({ state: "CREATING" }).when(put).thenRefused("it is still being taken");
    given(erasing).when(put).thenRefused(`it is being erased since ${before}`);
  });
  it("is taken away by a release", () => {
    given({ hold }).when(released).thenBecomes({ hold: undefined });
    given({ ...deleting, hold })
      .when(released)
      .thenBecomes({ hold: undefined });
  });
  it("that is being released says by whom, and lasts until then", () => {
    const release = (there: Backup) => releasing(there, "operations/release-1");
    given({ hold })
      .when(release)
      .thenBecomes({ hold: { ...hold, operation: "operations/release-1" } });
    given({}).when(release).thenRefused("it is not held");
  });
  it("that is not there is not released", () => {
    given({}).when(released).thenRefused("it is not held");
  });
});

describe("putting the erasure off", () => {
  const until = "2026-12-01T00:00:00.000Z";
  const put = (there: Backup) => deferred(there, until, "HOLD");
  it("tells until when, and what keeps it", () => {
    given(deleting).when(put).thenBecomes({ deferredUntil: until, deferredBy: "HOLD" });
  });
  it.each(["CREATING", "ACTIVE"] as const)("is refused where the backup is %s", (state) => {
    given({ state }).when(put).thenRefused(`it is ${state}, not DELETING`);
  });
});

describe("another expiry", () => {
  const at = (expireTime: string) => (there: Backup) => expiringAt(there, expireTime, now);
  it.each([now, "2026-11-22T00:00:00.000Z", "2030-01-01T00:00:00.000Z"])("may be %s", (expireTime) => {
    given({}).when(at(expireTime)).thenBecomes({ expireTime });
  });
  it("is not in the past", () => {
    given({}).when(at(before)).thenRefused(`${before} is in the past; delete it instead`);
  });
  it("is 100 years after the backup was taken at most", () => {
    const latest = "2126-10-27T03:00:00.000Z"; // 36,500 days
    given({}).when(at(latest)).thenBecomes({ expireTime: latest });
    const later = "2126-10-27T03:00:00.001Z";
    given({})
      .when(at(later))
      .thenRefused(`${later} is more than 100 years after it was taken; expected at most ${latest}`);
  });
  it.each(["CREATING", "DELETING"] as const)("is refused where the backup is %s", (state) => {
    given({ state }).when(at(after)).thenRefused(`it is ${state}`);
  });
});

describe("reading", () => {
  const read = (there: Backup) => void assertReadable(there);
  it("is allowed while the backup is ACTIVE", () => {
    expect(() => assertReadable(backup("2026-11-20"))).not.toThrow();
  });
  it.each([
    [{ state: "CREATING" as const }, "it is still being taken"],
    [deleting, "it is being deleted; undelete it first"],
    [erasing, "it is being erased"],
  ])("is refused of %j", (fields, reason) => {
    given(fields).when(read).thenRefused(reason);
  });
});

describe("the totals of a collection", () => {
  const collection: BackupCollection = {
    ...{ name: "backupCollections/orders", instance: "instances/orders", instanceUid: "i", location: "l" },
    ...{ createTime: before, totalBackupCount: 3, totalBackupSizeBytes: 100, lastBackupTime: before },
  };
  const counts = (totalBackupCount: number, totalBackupSizeBytes: number) => ({
    totalBackupCount,
    totalBackupSizeBytes,
  });
  const one = backup("2026-11-20", { totalSizeBytes: 42 });
  it("rise with a backup, which is the last one then", () => {
    expect(counted(collection, one, 1)).toStrictEqual({
      ...collection,
      ...counts(4, 142),
      lastBackupTime: one.createTime,
    });
  });
  it("say no more that it is deleted, once it is to be kept after all", () => {
    expect(unmarked({ ...collection, deleteTime: now })).toStrictEqual(collection);
  });
  it("fall with one that goes; when the last one was taken stays known", () => {
    expect(counted(collection, one, -1)).toStrictEqual({ ...collection, ...counts(2, 58) });
  });
});
