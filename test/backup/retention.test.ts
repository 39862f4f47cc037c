import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RetentionPolicy, Verification } from "../../shared/backup/backup.ts";
import { capped } from "../../shared/backup/cap.ts";
import { assertPolicy, type Decision, decide, type Entry } from "../../shared/backup/retention.ts";
import { daily, entry } from "./catalogue.ts";

const now = "2026-11-21T12:00:00.000Z";
const nobody: ReadonlySet<string> = new Set();

const actions = (decisions: Decision[]): string[] => decisions.map(({ action }) => action);
const keptDays = (catalogue: Entry[], policy: RetentionPolicy): string[] => {
  const kept = new Set(
    decide(catalogue, policy, nobody, now)
      .filter(({ action }) => action === "KEEP")
      .map(({ backup }) => backup),
  );
  return catalogue.filter(({ name }) => kept.has(name)).map(({ createTime }) => createTime.slice(0, 10));
};

describe("without a policy", () => {
  it("what has not expired is kept, and says until when", () => {
    const [decision] = decide([entry("2026-11-01", { expireTime: "2026-12-06T03:00:00.000Z" })], {}, nobody, now);
    expect(decision).toMatchObject({ action: "KEEP", reason: "it expires at 2026-12-06T03:00:00.000Z" });
  });
  it("says when what goes has expired, and why what stays does", () => {
    const reasons = decide(daily("2026-11-01", 2), {}, nobody, now).map(({ reason }) => reason);
    expect(reasons).toEqual([
      "it expired at 2000-01-01T00:00:00.000Z",
      "it expired at 2000-01-01T00:00:00.000Z, but is the newest verified one",
    ]);
  });
  it("what has expired goes, but for the newest verified one", () => {
    expect(actions(decide(daily("2026-11-01", 3), {}, nobody, now))).toEqual(["EXPIRE", "EXPIRE", "KEEP"]);
  });
  it("a backup expires at its expireTime, not before", () => {
    const at = (expireTime: string) =>
      actions(decide([entry("2026-11-01", { expireTime }), entry("2026-11-02")], {}, nobody, now))[0];
    expect([at(now), at("2026-11-21T12:00:00.001Z")]).toEqual(["EXPIRE", "KEEP"]);
  });
  it("an unverified one, however new, does not stand in for a verified one", () => {
    const catalogue = [entry("2026-11-01"), entry("2026-11-02", { verification: "UNVERIFIED" })];
    expect(actions(decide(catalogue, {}, nobody, now))).toEqual(["KEEP", "EXPIRE"]);
  });
  it("the last one stays even if it is unverified", () => {
    expect(actions(decide([entry("2026-11-01", { verification: "UNVERIFIED" })], {}, nobody, now))).toEqual(["KEEP"]);
  });
  it("the best verification stays beside the newest verified one", () => {
    const catalogue = [entry("2026-11-01", { verification: "PROVEN" }), entry("2026-11-02"), entry("2026-11-03")];
    expect(actions(decide(catalogue, {}, nobody, now))).toEqual(["KEEP", "EXPIRE", "KEEP"]);
  });
  it("a clock that jumped backwards lets nothing go", () => {
    const catalogue = daily("2026-11-01", 3).map((one) => ({ ...one, expireTime: "2026-11-20T00:00:00.000Z" }));
    expect(actions(decide(catalogue, {}, nobody, "1970-01-01T00:00:00.000Z"))).toEqual(["KEEP", "KEEP", "KEEP"]);
  });
});

describe("of a server that has lost its data", () => {
  const empty = (createTime: string) => entry(createTime, { holdsKeys: false });
  const reasons = (catalogue: Entry[], policy: RetentionPolicy = {}) =>
    decide(catalogue, policy, nobody, now).map(({ reason }) => reason.replace("it expired at ", "").slice(26));

  it("the newest backup that holds keys stays beside the newest one", () => {
    expect(reasons([entry("2026-11-01"), entry("2026-11-02"), empty("2026-11-03"), empty("2026-11-04")])).toEqual([
      "",
      "but is the newest verified one that holds keys",
      "",
      "but is the newest verified one",
    ]);
  });
  it("it goes once a newer one holds keys", () => {
    expect(reasons([entry("2026-11-01"), empty("2026-11-02"), entry("2026-11-03")])).toEqual([
      "",
      "",
      "but is the newest verified one",
    ]);
  });
  it("one that is unverified, being taken or deleted does not stand in for it", () => {
    for (const fields of [
      { verification: "UNVERIFIED" },
      { state: "CREATING" },
      { state: "DELETING", purgeTime: "2027-01-01T00:00:00.000Z" },
    ] as const)
      expect(reasons([entry("2026-11-01"), entry("2026-11-02", fields), empty("2026-11-03")])[0]).toBe(
        "but is the newest verified one that holds keys",
      );
  });
  it("one that is held, or read, or has not expired does", () => {
    const hold = { reason: "audit", createTime: now, operation: "operations/hold-1" };
    const used = new Set([entry("2026-11-02").name]);
    const first = (fields: Partial<Entry>, inUse = nobody) =>
      decide([entry("2026-11-01"), entry("2026-11-02", fields), empty("2026-11-03")], {}, inUse, now)[0]?.action;
    expect([first({ hold }), first({}, used), first({ expireTime: "2027-01-01T00:00:00.000Z" })]).toEqual([
      "EXPIRE",
      "EXPIRE",
      "EXPIRE",
    ]);
  });
  it("only the newest one stays where none holds keys", () => {
    expect(reasons([empty("2026-11-01"), empty("2026-11-02")])).toEqual(["", "but is the newest verified one"]);
  });
  it("it stays beside what the policy keeps", () => {
    const catalogue = [entry("2026-11-01", { verification: "PROVEN" }), entry("2026-11-02"), empty("2026-11-03")];
    expect(reasons([...catalogue, empty("2026-11-04")], { minimumRedundancy: 2 })).toEqual([
      "but is one of the 2 that must stay",
      "but is the newest verified one that holds keys",
      "",
      "but is the newest verified one",
    ]);
  });
});

describe("never taken", () => {
  const newest = entry("2026-11-20");
  it("what is held: the reason is told", () => {
    const held = entry("2026-11-01", { hold: { reason: "audit", createTime: now, operation: "operations/hold-1" } });
    expect(decide([held, newest], {}, nobody, now)[0]).toMatchObject({ action: "HOLD", reason: "it is held: audit" });
    expect(
      decide([{ ...held, state: "DELETING", purgeTime: "2026-01-01T00:00:00.000Z" }, newest], {}, nobody, now)[0]
        ?.action,
    ).toBe("HOLD");
  });
  it("what somebody reads, tombstone or not", () => {
    const read = entry("2026-11-01");
    const used = new Set([read.name]);
    expect(decide([read, newest], {}, used, now)[0]).toMatchObject({ action: "KEEP", reason: "somebody reads it" });
    const dead = { ...read, state: "DELETING" as const, purgeTime: "2026-01-01T00:00:00.000Z" };
    expect(decide([dead, newest], {}, used, now)[0]).toMatchObject({ action: "KEEP", reason: "somebody reads it" });
  });
  it("what is being taken", () => {
    expect(decide([entry("2026-11-01", { state: "CREATING" }), newest], {}, nobody, now)[0]).toMatchObject({
      action: "KEEP",
      reason: "it is being taken",
    });
  });
  it("the minimum redundancy of the best there is", () => {
    expect(actions(decide(daily("2026-11-01", 5), { minimumRedundancy: 3 }, nobody, now))).toEqual([
      "EXPIRE",
      "EXPIRE",
      "KEEP",
      "KEEP",
      "KEEP",
    ]);
    expect(decide(daily("2026-11-01", 5), { minimumRedundancy: 3 }, nobody, now)[2]?.reason).toMatch(
      /is one of the 3 that must stay/,
    );
  });
});

describe("a tombstone", () => {
  const newest = entry("2026-11-20");
  const dead = entry("2026-11-01", { state: "DELETING", purgeTime: now });
  it("is erased at the end of its grace, not before", () => {
    expect(decide([dead, newest], {}, nobody, now)[0]).toMatchObject({
      action: "ERASE",
      reason: `deleted, its grace ended at ${now}`,
    });
    expect(decide([{ ...dead, purgeTime: "2026-11-21T12:00:00.001Z" }, newest], {}, nobody, now)[0]).toMatchObject({
      action: "KEEP",
      reason: "deleted, can be undeleted until 2026-11-21T12:00:00.001Z",
    });
  });
  it("of which nobody knows when its grace ends is kept", () => {
    expect(decide([entry("2026-11-01", { state: "DELETING" }), newest], {}, nobody, now)[0]?.action).toBe("KEEP");
  });
  it("that its bucket keeps is deferred until then", () => {
    expect(decide([{ ...dead, deferredUntil: "2026-12-01T00:00:00.000Z" }, newest], {}, nobody, now)[0]).toMatchObject({
      action: "DEFERRED",
      reason: expect.stringMatching(/^deleted, its bucket.* keeps it until 2026-12-01T00:00:00.000Z/),
    });
    expect(decide([{ ...dead, deferredUntil: now }, newest], {}, nobody, now)[0]?.action).toBe("ERASE");
  });
  it("does not count for any rule: the newest living one stays", () => {
    const catalogue = [
      entry("2026-11-01"),
      entry("2026-11-02", { state: "DELETING", purgeTime: "2027-01-01T00:00:00.000Z" }),
    ];
    expect(actions(decide(catalogue, { keepLast: 1 }, nobody, now))).toEqual(["KEEP", "KEEP"]);
  });
});

describe("grandfather, father, son", () => {
  const year = daily("2025-11-22", 365);
  it("keeps the newest of each of the last days, weeks and months", () => {
    expect(keptDays(year, { keepDaily: 3, keepWeekly: 3, keepMonthly: 3 })).toEqual([
      "2026-09-30",
      "2026-10-31",
      "2026-11-08",
      "2026-11-15",
      "2026-11-19",
      "2026-11-20",
      "2026-11-21",
    ]);
  });
  it("keeps the newest of each year", () => {
    expect(keptDays(year, { keepYearly: 5 })).toEqual(["2025-12-31", "2026-11-21"]);
  });
  it("names the day, week, month or year for which it keeps one", () => {
    const decisions = decide(
      year,
      { keepWeekly: 2, keepMonthly: 2, keepYearly: 2, keepDaily: 2, keepLast: 1 },
      nobody,
      now,
    );
    const reasons = decisions
      .filter(({ action }) => action === "KEEP")
      .map(({ reason }) => reason.replace(/^.*but /, ""));
    expect(reasons).toEqual([
      "is the newest of the year 2025",
      "is the newest of the month 2026-10",
      "is the newest of the week 2026-W46",
      "is the newest of the day 2026-11-20",
      "is the newest verified one",
    ]);
  });
  it("counts periods that have a backup: a gap takes none away", () => {
    const catalogue = ["2026-01-10", "2026-05-10", "2026-05-20", "2026-11-20"].map((day) => entry(day));
    expect(keptDays(catalogue, { keepMonthly: 3 })).toEqual(["2026-01-10", "2026-05-20", "2026-11-20"]);
  });
  it("begins its days where its time zone does", () => {
    const catalogue = ["2026-11-19T14:00:00.000Z", "2026-11-19T16:00:00.000Z", "2026-11-20T14:00:00.000Z"].map((time) =>
      entry(time),
    );
    expect(keptDays(catalogue, { keepDaily: 2 })).toEqual(["2026-11-19", "2026-11-20"]);
    expect(actions(decide(catalogue, { keepDaily: 2, timeZone: "Asia/Tokyo" }, nobody, now))).toEqual([
      "KEEP",
      "EXPIRE",
      "KEEP",
    ]);
  });
  it("prefers a verified backup to a newer one that is not", () => {
    const catalogue = [
      entry("2026-11-19T01:00:00.000Z"),
      entry("2026-11-19T02:00:00.000Z", { verification: "UNVERIFIED" }),
      entry("2026-11-20"),
    ];
    expect(actions(decide(catalogue, { keepDaily: 2 }, nobody, now))).toEqual(["KEEP", "EXPIRE", "KEEP"]);
  });
  it("keeps the last n, verified or not, and says so", () => {
    expect(keptDays(daily("2026-11-01", 5), { keepLast: 2 })).toEqual(["2026-11-04", "2026-11-05"]);
    const catalogue = [
      entry("2026-11-01"),
      ...daily("2026-11-02", 2).map((one) => ({ ...one, verification: "UNVERIFIED" as const })),
    ];
    expect(decide(catalogue, { keepLast: 2 }, nobody, now).map(({ reason }) => reason.replace(/^.*but /, ""))).toEqual([
      "is the newest verified one",
      "is one of the last 2",
      "is one of the last 2",
    ]);
  });
  it("goes by the time of a backup, whatever its name", () => {
    const catalogue = daily("2026-11-01", 3).map((one, n) => ({ ...one, name: `${9 - n}` }));
    expect(keptDays(catalogue, { keepLast: 1 })).toEqual(["2026-11-03"]);
    expect(keptDays([...catalogue].reverse(), { keepLast: 2 })).toEqual(["2026-11-03", "2026-11-02"]);
  });
  it("comes out the same whatever order the catalogue is in, and for two of one millisecond", () => {
    const twins = [entry("2026-11-05", { name: "a" }), entry("2026-11-05", { name: "b" })];
    expect(decide(twins, {}, nobody, now).map(({ action }) => action)).toEqual(["EXPIRE", "KEEP"]);
    expect(decide([...twins].reverse(), {}, nobody, now).map(({ action }) => action)).toEqual(["KEEP", "EXPIRE"]);
  });
});

describe("when a sweep has to look again", () => {
  const reviewOf = (catalogue: Entry[], policy: RetentionPolicy = {}) =>
    decide(catalogue, policy, nobody, now).map(({ reviewTime }) => reviewTime);
  const alive = "2026-11-21T12:00:00.001Z";

  it("is at the expiry of what lives", () => {
    expect(reviewOf([entry("2026-11-01", { expireTime: alive })])).toEqual([alive]);
  });
  it("is at the end of a tombstone's grace, or when its bucket lets it go", () => {
    const purgeTime = "2026-11-22T00:00:00.000Z";
    const dead = entry("2026-11-01", { state: "DELETING", purgeTime });
    const deferred = { ...dead, deferredUntil: "2026-12-01T00:00:00.000Z" };
    expect(reviewOf([dead, deferred])).toEqual([purgeTime, deferred.deferredUntil]);
  });
  it("is not asked for by time where a rule keeps what has expired, even in this very millisecond", () => {
    const decisions = decide(daily("2026-11-01", 3), { keepLast: 2 }, nobody, now);
    expect(decisions.map((decision) => "reviewTime" in decision)).toEqual([true, false, false]);
    expect(reviewOf([entry("2026-11-01", { expireTime: now })])).toEqual([undefined]);
  });
  it("is told of what a rule would keep, too, until it has expired", () => {
    expect(reviewOf([entry("2026-11-01"), entry("2026-11-02", { expireTime: alive })], { keepLast: 2 })).toEqual([
      undefined,
      alive,
    ]);
  });
  it("is told of a tombstone whatever the rules, and of nothing that is held", () => {
    const dead = entry("2026-11-01", { state: "DELETING", purgeTime: "2026-11-20T00:00:00.000Z" });
    const hold = { reason: "audit", createTime: now, operation: "operations/hold-1" };
    expect(reviewOf([dead, entry("2026-11-02", { hold }), entry("2026-11-03")], { keepLast: 9 })).toEqual([
      dead.purgeTime,
      undefined,
      undefined,
    ]);
  });
});

describe("a policy that is not valid", () => {
  it("keeps everything that has expired, and says what is wrong with it", () => {
    const [first, last] = decide(daily("2026-11-01", 2), { keepDaily: -1 }, nobody, now);
    expect(first).toEqual({
      backup: first?.backup,
      action: "KEEP",
      reason:
        "it expired at 2000-01-01T00:00:00.000Z, but stays while its policy is not valid (retention policy: keepDaily -1: expected a whole number from 0 to 10000)",
    });
    expect(last).toMatchObject({ action: "KEEP", reason: expect.stringContaining("is the newest verified one") });
  });
  it("keeps what has a zone that nobody knows", () => {
    const [first] = decide(daily("2026-11-01", 2), { keepDaily: 1, timeZone: "Mars/Olympus" }, nobody, now);
    expect(first).toMatchObject({
      action: "KEEP",
      reason: expect.stringContaining('unknown time zone "Mars/Olympus"'),
    });
  });
  it("is not what an error of ours is taken for", () => {
    const calendars = () => expect.unreachable();
    const policy = {
      get keepDaily(): number {
        throw new TypeError("ours");
      },
    };
    expect(() => decide(daily("2026-11-01", 2), policy, nobody, now, calendars)).toThrow(TypeError);
  });
});

describe("what is put off", () => {
  const until = "2026-12-01T00:00:00.000Z";
  const dead = entry("2026-11-01", {
    state: "DELETING",
    purgeTime: "2026-11-20T00:00:00.000Z",
    deferredUntil: until,
    deferredBy: "RETENTION_POLICY",
  });
  const reasonOf = (fields: Partial<Entry>): string | undefined =>
    decide([{ ...dead, ...fields }], {}, nobody, now)[0]?.reason;

  it("says until when its bucket keeps it, and that it can be undeleted", () => {
    expect(reasonOf({})).toBe(
      `deleted, its bucket's retention policy keeps it until ${until}; it can be undeleted until then`,
    );
  });
  it("says when a hold without a date is looked at again", () => {
    expect(reasonOf({ deferredBy: "HOLD" })).toBe(
      `deleted, a hold on its files keeps it; it is looked at again at ${until}; it can be undeleted until then`,
    );
  });
  it("cannot be undeleted once erasing has begun", () => {
    expect(reasonOf({ purgeStartTime: now })).toBe(`deleted, its bucket's retention policy keeps it until ${until}`);
  });
  it("is erased once that time has come", () => {
    expect(reasonOf({ deferredUntil: now })).toBe("deleted, its grace ended at 2026-11-20T00:00:00.000Z");
  });
});

describe("what lives for less than a day", () => {
  const short = /bills a managed backup/;
  const decisionOf = (fields: Partial<Entry>) => decide([entry("2026-11-21", fields)], {}, nobody, now)[0]?.reason;

  it("is told to be billed for a whole one", () => {
    expect(decisionOf({ expireTime: "2026-11-21T13:00:00.000Z" })).toMatch(short);
    expect(decisionOf({ state: "DELETING", purgeTime: "2026-11-21T13:00:00.000Z" })).toMatch(short);
  });
  it("and nothing is said of what lives longer, or of a tombstone without a time", () => {
    expect(decisionOf({ expireTime: "2026-11-23T13:00:00.000Z" })).toBe("it expires at 2026-11-23T13:00:00.000Z");
    expect(decisionOf({ state: "DELETING", purgeTime: "2026-11-23T13:00:00.000Z" })).toBe(
      "deleted, can be undeleted until 2026-11-23T13:00:00.000Z",
    );
    expect(decisionOf({ state: "DELETING" })).toBe("deleted, can be undeleted until undefined");
  });
});

describe("the cap of a sweep", () => {
  const expired = (count: number, kept: number): [Decision[], Map<string, string>] => {
    const catalogue = [
      ...daily("2020-01-01", count),
      ...daily("2026-01-01", kept).map((one) => ({ ...one, expireTime: "2030-01-01T00:00:00.000Z" })),
    ];
    return [decide(catalogue, {}, nobody, now), new Map(catalogue.map(({ name, createTime }) => [name, createTime]))];
  };
  const count = (decisions: Decision[], wanted: string): number =>
    decisions.filter(({ action }) => action === wanted).length;
  it("is ten in a small collection; the oldest go, the others are deferred", () => {
    const decisions = capped(...expired(12, 3));
    expect([count(decisions, "EXPIRE"), count(decisions, "DEFERRED")]).toEqual([10, 2]);
    expect(decisions.slice(0, 10).every(({ action }) => action === "EXPIRE")).toBe(true);
    expect(decisions[10]?.reason).toBe(
      "a sweep takes at most 10 of this collection, 12 have expired; a later one goes on",
    );
  });
  it("is a fifth of a large one", () => {
    const decisions = capped(...expired(60, 40));
    expect([count(decisions, "EXPIRE"), count(decisions, "DEFERRED")]).toEqual([20, 40]);
  });
  it("changes nothing at it, nor below it", () => {
    for (const [gone, kept] of [
      [9, 3],
      [10, 3],
      [20, 80],
    ] as const) {
      const [decisions, times] = expired(gone, kept);
      expect(capped(decisions, times)).toEqual(decisions);
    }
  });
  it("is rounded down, and counts every backup of the collection", () => {
    const [of54, of55] = [capped(...expired(20, 34)), capped(...expired(20, 35))];
    expect([count(of54, "EXPIRE"), count(of55, "EXPIRE")]).toEqual([10, 11]);
  });
  it("takes the oldest whatever order the catalogue is in", () => {
    const [decisions, times] = expired(12, 3);
    const going = (all: Decision[]) =>
      capped(all, times)
        .filter(({ action }) => action === "EXPIRE")
        .map(({ backup }) => backup)
        .sort();
    const oldest = daily("2020-01-01", 10).map(({ name }) => name);
    const shuffled = decisions.map((_, n) => decisions[(n * 7) % decisions.length] ?? expect.unreachable());
    expect([going(decisions), going([...decisions].reverse()), going(shuffled)]).toEqual([oldest, oldest, oldest]);
  });
  it("takes of two of one millisecond the same one, whatever order the catalogue is in", () => {
    const [decisions, times] = expired(11, 3);
    const [early, late] = daily("2020-01-10", 2).map(({ name }) => name);
    const twins = new Map([...times, [late ?? "", times.get(early ?? "") ?? ""]]);
    for (const all of [decisions, [...decisions].reverse()])
      expect(
        capped(all, twins)
          .filter(({ action }) => action === "DEFERRED")
          .map(({ backup }) => backup),
      ).toEqual([late]);
  });
  it("touches nothing but what would expire", () => {
    const [decisions, times] = expired(30, 3);
    const others = (all: Decision[]) => all.filter(({ action }) => action === "KEEP");
    expect(others(capped(decisions, times))).toEqual(others(decisions));
  });
  it("is never more than forty", () => {
    const decisions = capped(...expired(300, 100));
    expect([count(decisions, "EXPIRE"), count(decisions, "DEFERRED")]).toEqual([40, 260]);
  });
  it("lets forty be erased, others at each turn, so that none stands before the others for ever", () => {
    const decisions = Array.from(
      { length: 100 },
      (_, n): Decision => ({ backup: `b${n}`, action: "ERASE", reason: "" }),
    );
    const erased = (turn: number) =>
      capped(decisions, new Map(), turn).flatMap(({ action, backup }) => (action === "ERASE" ? [backup] : []));
    expect([erased(0).length, erased(0)[0], erased(60)[0], erased(90).includes("b95")]).toEqual([
      40,
      "b0",
      "b60",
      true,
    ]);
    expect(capped(decisions, new Map())[99]).toMatchObject({ action: "DEFERRED", reason: /at most 40 .* 100 are due/ });
  });
});

describe("a policy", () => {
  it.each([
    [{ keepDaily: -1 }, /keepDaily -1: expected a whole number/],
    [{ keepWeekly: 1.5 }, /keepWeekly 1.5/],
    [{ keepLast: 10_001 }, /keepLast 10001/],
    [{ minimumRedundancy: 0.5 }, /minimumRedundancy 0.5: expected a whole number/],
    [{ minimumRedundancy: 0 }, /minimumRedundancy 0 would let the last backup go/],
    [{ keepLast: 2, minimumRedundancy: 3 }, /keepLast 2 contradicts minimumRedundancy 3/],
    [{ timeZone: "Mars/Base" }, /unknown time zone "Mars\/Base"/],
  ])("%j is refused", (policy, reason) => {
    expect(() => assertPolicy(policy)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/^retention policy: /) }),
    );
    expect(() => assertPolicy(policy)).toThrow(reason);
  });
  it("shows no more than 60 characters of a time zone", () => {
    expect(() => assertPolicy({ timeZone: "M".repeat(500) })).toThrow(/"M{60}": expected an IANA name/);
  });
  it.each([
    {},
    { keepLast: 0 },
    { keepLast: 3, minimumRedundancy: 3 },
    { keepLast: 0, minimumRedundancy: 3 },
    { minimumRedundancy: 10_000 },
    { keepDaily: 10_000, timeZone: "Asia/Tokyo" },
  ])("%j is fine", (policy) => {
    expect(() => assertPolicy(policy)).not.toThrow();
  });
});

describe("for every catalogue, policy and clock", () => {
  const time = fc
    .integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2027, 0, 1) })
    .map((ms) => new Date(ms).toISOString());
  const anEntry = fc
    .record({
      createTime: time,
      expireTime: time,
      verification: fc.constantFrom<Verification>("UNVERIFIED", "CHECKED", "PROVEN"),
      state: fc.constantFrom<Entry["state"]>("ACTIVE", "ACTIVE", "ACTIVE", "DELETING", "CREATING"),
      holdsKeys: fc.constantFrom(true, false, false, false),
      isHeld: fc.boolean(),
    })
    .map(({ isHeld, ...fields }) => ({
      ...entry(fields.createTime),
      ...fields,
      ...(isHeld &&
        fields.createTime < "2021" && { hold: { reason: "r", createTime: now, operation: "operations/hold-1" } }),
      ...(fields.state === "DELETING" && { purgeTime: fields.expireTime }),
    }));
  const aCatalogue = fc
    .array(anEntry, { maxLength: 40 })
    .map((all) => all.map((one, n) => ({ ...one, name: `b${n}` })));
  const small = fc.integer({ min: 0, max: 6 });
  const aPolicy = fc.record(
    {
      keepLast: small,
      keepDaily: small,
      keepWeekly: small,
      keepMonthly: small,
      keepYearly: small,
      minimumRedundancy: fc.integer({ min: 1, max: 5 }),
      timeZone: fc.constantFrom("UTC", "Asia/Tokyo", "America/New_York"),
    },
    { requiredKeys: [] },
  );

  /** What is left once every decision was carried out. */
  const carriedOut = (catalogue: Entry[], decisions: Decision[], from: string): Entry[] =>
    catalogue.flatMap((one, n) => {
      const action = decisions[n]?.action;
      if (action === "ERASE") return [];
      return action === "EXPIRE" ? [{ ...one, state: "DELETING" as const, purgeTime: `${from}~` }] : [one];
    });
  const living = (catalogue: Entry[]): Entry[] => catalogue.filter(({ state }) => state === "ACTIVE");

  /** When the newest of the living ones that are verified was taken. */
  const newestVerified = (catalogue: Entry[]): string | undefined =>
    living(catalogue)
      .filter(({ verification }) => verification !== "UNVERIFIED")
      .map(({ createTime }) => createTime)
      .sort()
      .at(-1);

  it("the minimum redundancy stays, of the best verification there is", () => {
    fc.assert(
      fc.property(aCatalogue, aPolicy, time, (catalogue, policy, at) => {
        const left = living(carriedOut(catalogue, decide(catalogue, policy, nobody, at), at));
        const before = living(catalogue);
        expect(left.length).toBeGreaterThanOrEqual(Math.min(policy.minimumRedundancy ?? 1, before.length));
        const best = (all: Entry[]) =>
          Math.max(-1, ...all.map(({ verification }) => ["UNVERIFIED", "CHECKED", "PROVEN"].indexOf(verification)));
        expect(best(left)).toBe(best(before));
      }),
    );
  });
  it("the newest verified one is never taken, nor what is held or read", () => {
    fc.assert(
      fc.property(aCatalogue, aPolicy, time, fc.integer({ min: 0, max: 39 }), (catalogue, policy, at, reader) => {
        const decisions = decide(catalogue, policy, new Set([`b${reader}`]), at);
        expect(newestVerified(carriedOut(catalogue, decisions, at))).toBe(newestVerified(catalogue));
        for (const [n, { action }] of decisions.entries())
          if (n === reader || catalogue[n]?.hold !== undefined) expect(["KEEP", "HOLD"]).toContain(action);
      }),
    );
  });
  it("the newest verified one that holds keys is never taken", () => {
    fc.assert(
      fc.property(aCatalogue, fc.oneof(fc.constant({}), aPolicy), (catalogue, policy) => {
        const full = (all: Entry[]) => all.filter(({ holdsKeys }) => holdsKeys);
        const left = carriedOut(catalogue, decide(catalogue, policy, nobody, now), now);
        expect(newestVerified(full(left))).toBe(newestVerified(full(catalogue)));
      }),
    );
  });
  it("that some hold no keys keeps one more at most, and lets none go", () => {
    fc.assert(
      fc.property(aCatalogue, aPolicy, time, (catalogue, policy, at) => {
        const taken = (all: Entry[]) =>
          decide(all, policy, nobody, at).flatMap(({ action, backup }) => (action === "EXPIRE" ? [backup] : []));
        const all = taken(catalogue.map((one) => ({ ...one, holdsKeys: true })));
        expect(all).toEqual(expect.arrayContaining(taken(catalogue)));
        expect(all.length - taken(catalogue).length).toBeLessThanOrEqual(1);
      }),
    );
  });
  it("deciding again, after the decisions were carried out, changes nothing", () => {
    fc.assert(
      fc.property(aCatalogue, aPolicy, time, (catalogue, policy, at) => {
        const left = carriedOut(catalogue, decide(catalogue, policy, nobody, at), at);
        expect(
          actions(decide(left, policy, nobody, at)).filter((action) => action === "EXPIRE" || action === "ERASE"),
        ).toEqual([]);
      }),
    );
  });
  it("a sweep that was stopped anywhere and started again ends in the same place", () => {
    fc.assert(
      fc.property(aCatalogue, aPolicy, time, fc.nat(40), (catalogue, policy, at, stop) => {
        const decisions = decide(catalogue, policy, nobody, at);
        const partly = decisions.map((decision, n) => (n < stop ? decision : { ...decision, action: "KEEP" as const }));
        const half = carriedOut(catalogue, partly, at);
        const end = (all: Entry[]) => all.filter(({ state }) => state !== "DELETING").map(({ name }) => name);
        expect(end(carriedOut(half, decide(half, policy, nobody, at), at))).toEqual(
          end(carriedOut(catalogue, decisions, at)),
        );
      }),
    );
  });
  it("a cap only puts off: never more than it allows, and never one before an older one", () => {
    fc.assert(
      fc.property(aCatalogue, time, (catalogue, at) => {
        const decisions = decide(catalogue, {}, nobody, at);
        const times = new Map(catalogue.map(({ name, createTime }) => [name, createTime]));
        const under = capped(decisions, times);
        const timesOf = (isGoing: boolean) =>
          under
            .filter((_, n) => decisions[n]?.action === "EXPIRE")
            .filter(({ action }) => (action === "EXPIRE") === isGoing)
            .map(({ backup }) => times.get(backup) ?? "");
        const [going, waiting] = [timesOf(true), timesOf(false)];
        expect(going.length).toBeLessThanOrEqual(10);
        if (waiting.length > 0) expect(going).toHaveLength(10);
        for (const late of waiting) expect(going.every((early) => early <= late)).toBe(true);
        const rest = (all: Decision[]) => all.filter((_, n) => decisions[n]?.action !== "EXPIRE");
        expect(rest(under)).toEqual(rest(decisions));
      }),
    );
  });
  it("what a rule keeps it keeps at any later time, and when any other backup goes: a sweep need not look again", () => {
    fc.assert(
      fc.property(aCatalogue, aPolicy, time, time, fc.nat(39), (catalogue, policy, at, other, gone) => {
        const later = at < other ? other : at;
        const kept = (all: Entry[], when: string): string[] =>
          decide(all, policy, nobody, when)
            .filter(({ backup, action, reviewTime }) => {
              const found = all.find(({ name }) => name === backup);
              return action === "KEEP" && found?.state === "ACTIVE" && reviewTime === undefined;
            })
            .map(({ backup }) => backup);
        const before = kept(catalogue, at);
        expect(kept(catalogue, later)).toEqual(expect.arrayContaining(before));
        const left = catalogue.filter((_, n) => n !== gone);
        expect(kept(left, at)).toEqual(expect.arrayContaining(before.filter((name) => name !== `b${gone}`)));
      }),
    );
  });
  it("names when time alone can change a decision: before that it stays as it is", () => {
    fc.assert(
      fc.property(aCatalogue, aPolicy, time, time, (catalogue, policy, at, other) => {
        const [from, to] = at < other ? [at, other] : [other, at];
        const after = decide(catalogue, policy, nobody, to);
        for (const [n, { action, reviewTime }] of decide(catalogue, policy, nobody, from).entries())
          if (reviewTime === undefined || reviewTime > to) expect(after[n]?.action).toBe(action);
      }),
    );
  });
  it("capping again and again takes in the end what would have gone at once", () => {
    fc.assert(
      fc.property(aCatalogue, aPolicy, time, (catalogue, policy, at) => {
        let left: Entry[] = catalogue;
        for (let round = 0; round < 6; round++) {
          const times = new Map(left.map(({ name, createTime }) => [name, createTime]));
          left = carriedOut(left, capped(decide(left, policy, nobody, at), times), at);
        }
        const atOnce = carriedOut(catalogue, decide(catalogue, policy, nobody, at), at);
        expect(living(left).map(({ name }) => name)).toEqual(living(atOnce).map(({ name }) => name));
      }),
    );
  });
});
