import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Filter, operators } from "../../infra/cli/filter/filter.ts";
import { assertFits, matches } from "../../infra/cli/filter/match.ts";
import { parseFilter } from "../../infra/cli/filter/parse.ts";
import { select } from "../../infra/cli/selection.ts";
import { StatusError } from "../../shared/error.ts";

const now = Date.parse("2026-11-21T12:00:00.000Z");
const backup = {
  name: "backupCollections/orders/backups/nightly",
  state: "ACTIVE",
  backupType: "AUTOMATED",
  createTime: "2026-11-20T02:00:00.000Z",
  expireTime: "2026-11-26T12:00:00.000Z",
  note: "it was 2026-01-01T00:00:00Z then",
  gone: null,
  totalSizeBytes: 1_500_000_000,
  shardCount: 2,
  retentionSeconds: 30 * 86_400,
  done: false,
  pins: ["operations/restore-1", "operations/export-2"],
  hold: { reason: "the audit (May)" },
  backupFiles: [
    { fileName: "0.rdb", keys: 10 },
    { fileName: "1.rdb", keys: 20 },
  ],
  empty: [],
};
const holds = (filter: string, document: unknown = backup): boolean => matches(parseFilter(filter), document, now);

describe("a filter", () => {
  it.each([
    ["state=ACTIVE", true],
    ["state=active", true],
    ["state = ACTIVE", true],
    ['state="ACTIVE"', true],
    ["state='ACTIVE'", true],
    ["state=ACTIV", false],
    ["state!=DELETING", true],
    ["state!=ACTIVE", false],
    ["name:NIGHT", true],
    ["name:weekly", false],
    ["state<B", true],
    ["state<A", false],
    ["state>=ACTIVE", true],
    ["state>B", false],
    ["note>a", true],
    ["note<2026-01-02", false],
    ["gone:*", false],
    ["gone=null", false],
    ["shardCount=2", true],
    ["shardCount=2.0", true],
    ["shardCount<2", false],
    ["shardCount<=2", true],
    ["shardCount<=1", false],
    ["shardCount<2.05", true],
    ["shardCount>2", false],
    ["shardCount>-1", true],
    ["shardCount:2", true],
    ["done=false", true],
    ["done=TRUE", false],
    ["totalSizeBytes>1GB", true],
    ["totalSizeBytes>1.4gib", false],
    ["totalSizeBytes>1.3GiB", true],
    ["totalSizeBytes=1500MB", true],
    ["totalSizeBytes<2TiB", true],
    ["retentionSeconds=30d", true],
    ["retentionSeconds>720h", false],
    ["createTime>2026-11-20", true],
    ["createTime<2026-11-20", false],
    ["createTime:2026-11-20", true],
    ["createTime=2026-11-20T02:00Z", true],
    ["createTime=2026-11-20T02:00", true],
    ["createTime=2026-11-20T11:00:00.000+09:00", true],
    ["createTime>-2d", true],
    ["createTime>-1d", false],
    ["createTime<1d", true],
    ["createTime>-30d", true],
    ["expireTime<5d", false],
    ["expireTime<6d", true],
    ["expireTime<+6d", true],
    ["expireTime>4d", true],
    ["expireTime=2026-11-26T12:00:00Z", true],
    ["expireTime<=2026-11-26T11:59:59.999999Z", false],
    ["hold.reason='the audit (May)'", true],
    ["hold.reason:audit", true],
    ["hold:reason", true],
    ["hold:REASON", true],
    ["hold:reas", false],
    ["hold:*", true],
    ["purgeTime:*", false],
    ["empty:*", false],
    ["purgeTime=2026-01-01", false],
    ["purgeTime!=2026-01-01", true],
    ["pins:restore", true],
    ["pins=operations/export-2", true],
    ["pins!=operations/export-2", false],
    ["backupFiles.fileName=1.rdb", true],
    ["backupFiles.keys>20", false],
    ["backupFiles.keys>=20", true],
    ["hold.reason.length=1", false],
    ["constructor:*", false],
    ["NOT state=ACTIVE", false],
    ["NOT NOT state=ACTIVE", true],
    ["state=ACTIVE AND shardCount=1", false],
    ["state=ACTIVE OR shardCount=1", true],
    ["state=DELETING OR (state=ACTIVE AND NOT shardCount=1)", true],
    ["(state=DELETING OR state=ACTIVE) AND shardCount=1", false],
    ["(((state=ACTIVE)))", true],
    ["name:'*'", false],
  ])("%s holds: %s", (filter, expected) => {
    expect(holds(filter)).toBe(expected);
  });

  it("takes what follows an operator as it is, so that names and times need no quotes", () => {
    expect(holds("endpoint=10.0.0.5:6379", { endpoint: "10.0.0.5:6379" })).toBe(true);
    expect(holds("reason=a=b<c", { reason: "a=b<c" })).toBe(true);
  });

  it("reads a backslash between quotes as the character after it", () => {
    expect(holds(String.raw`reason="say \"yes\" \\"`, { reason: String.raw`say "yes" \ `.trim() })).toBe(true);
  });
});

describe("a malformed filter", () => {
  it.each([
    ["", 1, /expected a field, .*, found the end/],
    ["   ", 4, /expected a field, .*, found the end/],
    ["state", 6, /expected =, !=, <, <=, >, >= or : after state, found the end/],
    ["state=", 7, /expected a value after =, found the end/],
    ["state=)", 7, /expected a value after =, found "\)"/],
    ["state=(a b)", 7, /expected a value after =, found "\("/],
    ["=ACTIVE", 1, /expected a field, .*, found "="/],
    ["state=ACTIVE AND", 17, /expected a field, .*, found the end/],
    ["state==ACTIVE", 7, /expected a value, in quotes if it begins so, found "="/],
    ["state>>ACTIVE", 7, /expected a value, in quotes if it begins so, found ">"/],
    ["state=ACTIVE shardCount=1", 14, /expected AND, OR or the end, found "shardCount"/],
    ["state=ACTIVE and shardCount=1", 14, /expected AND, OR or the end, found "and"/],
    ["state=ACTIVE)", 13, /expected AND, OR or the end, found "\)"/],
    ["(state=ACTIVE", 14, /expected AND, OR or \), found the end/],
    ["()", 2, /expected a field/],
    ["NOT", 4, /expected a field, .*, found the end/],
    ["AND=1", 1, /expected a field, .*, found "AND"/],
    ["OR=1", 1, /expected a field, .*, found "OR"/],
    ["NOT=1", 4, /expected a field, .*, found "="/],
    [`${"x".repeat(50)} y`, 52, /after x{50}, found "y"/],
    [`a=1 ${"x".repeat(50)}`, 5, /found "x{40}"$/],
    ["'state'=ACTIVE", 1, /expected a field, .*, found "state"/],
    ["-state=ACTIVE", 1, /expected a field, .*, found "-state"/],
    ["a..b=1", 1, /expected a field/],
    ["state!ACTIVE", 6, /expected =, !=, <, <=, >, >= or :, found "!"/],
    ["state='ACTIVE", 14, /expected ' to end the text that begins at character 7, found the end/],
    ["a=1 AND b=2 OR c=3", 13, /expected parentheses around what is joined by AND before it is joined by OR/],
    ["a=1 OR b=2 AND c=3", 12, /expected parentheses around what is joined by OR before it is joined by AND/],
  ])("%j is refused at character %i", (text, position, reason) => {
    expect(() => parseFilter(text)).toThrow(reason);
    expect(() => parseFilter(text)).toThrow(`malformed filter at character ${position}: `);
  });

  it("is refused if it is longer than any person would write", () => {
    expect(() => parseFilter(`state=${"x".repeat(995)}`)).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: "a filter of 1001 characters is too long: expected at most 1000",
      }),
    );
    expect(() => parseFilter(`state=${"x".repeat(994)}`)).not.toThrow();
  });
});

describe("a filter that fits no document", () => {
  const fits = (filter: string, optional: string[] = []) => assertFits(parseFilter(filter), [backup], optional, now);
  it.each([
    ["stat=ACTIVE", /nothing that is listed has a field stat: expected one of .*, shardCount, state, totalSizeBytes$/],
    ["state=ACTIVE OR stat:*", /has a field stat:/],
    ["hold.raeson:audit", /has a field hold.raeson: expected one of reason$/],
    ["state.raeson:audit", /has a field state.raeson: there is nothing of that kind$/],
    ["totalSizeBytes>big", /totalSizeBytes "big": expected a size such as 500MB or 2GiB$/],
    ["totalSizeBytes>1d", /expected a size/],
    ["shardCount>1GB", /shardCount "1GB": expected a number$/],
    ["shardCount>x2", /expected a number/],
    ["shardCount>2!", /expected a number/],
    ["shardCount>2.", /expected a number/],
    [`shardCount>${"x".repeat(50)}`, /shardCount "x{40}": expected a number$/],
    ["createTime>x-7d", /expected a time/],
    ["createTime>-7d!", /expected a time/],
    ["createTime>-7y", /expected a time/],
    ["createTime>x2026-01-01", /expected a time/],
    ["createTime>2026-01-01x", /expected a time/],
    ["createTime>9999999999999d", /expected a time/],
    ["retentionSeconds>1GB", /expected a duration such as 14d/],
    ["done=yes", /done "yes": expected true or false/],
    ["createTime>yesterday", /createTime "yesterday": expected a time such as 2027-01-31/],
    ["createTime>2026-02-31", /expected a time/],
    ["createTime>2026-13-01", /expected a time/],
    ["createTime>2026-01-01T25:00Z", /expected a time/],
    ["hold=audit", /hold is a map: name one of its fields, or ask hold:\*/],
  ])("%s is refused", (filter, reason) => {
    expect(() => fits(filter)).toThrow(reason);
    expect(() => fits(filter)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
  it("is told of the fields that may be absent too, where they would stand", () => {
    expect(() => fits("purgTime:*", ["purgeTime"])).toThrow(/, purgeTime, /);
    expect(() => fits("hold.purgTime:*", ["purgeTime"])).toThrow(/expected one of reason$/);
  });
  it.each(["hold:reason", "hold:*", "createTime:2026-11", "done:als", "totalSizeBytes:15"])("%s fits", (filter) => {
    expect(() => fits(filter)).not.toThrow();
  });
  it("is no mistake where the field may be absent, or where there is no document", () => {
    expect(() => fits("purgeTime<7d", ["purgeTime"])).not.toThrow();
    expect(() => fits("error.code=UNAVAILABLE", ["error"])).not.toThrow();
    expect(() => fits("errors.code=UNAVAILABLE", ["error"])).toThrow(/field errors.code/);
    expect(() => assertFits(parseFilter("stat=ACTIVE"), [], [], now)).not.toThrow();
  });
  it("is no mistake where one of the documents can be compared", () => {
    const mixed = [{ count: 1 }, { count: "many" }];
    expect(() => assertFits(parseFilter("count=many"), mixed, [], now)).not.toThrow();
  });
});

describe("sorting and limiting", () => {
  const documents = [
    { name: "a", size: 10, time: "2026-01-02", isBig: true },
    { name: "b", size: 9, isBig: false },
    { name: "c", size: 10, time: "2026-01-01", isBig: false, list: [1, 2], map: { x: 1 } },
  ];
  const names = (flags: { filter?: string; "sort-by"?: string; limit?: string }, optional: string[] = []) =>
    select(documents, { filter: undefined, "sort-by": undefined, limit: undefined, ...flags }, optional, now)
      .map(({ name }) => name)
      .join("");
  it.each([
    ["size", "bac"],
    ["~size", "acb"],
    ["size,~name", "bca"],
    ["~size,time", "cab"],
    ["time", "cab"],
    ["~time", "acb"],
    ["isBig", "bca"],
    ["map.x", "cab"],
  ])("by %s", (fields, expected) => expect(names({ "sort-by": fields })).toBe(expected));
  it("takes the first of what the filter lets through, in the order that was asked for", () => {
    expect(names({ filter: "size=10", "sort-by": "~name", limit: "1" })).toBe("c");
    expect(names({ limit: "2" })).toBe("ab");
  });
  it.each([
    ["siez", /--sort-by: nothing that is listed has a field siez: expected one of isBig, list, map, name, size, time$/],
    ["list", /--sort-by: list is a list or a map/],
    ["map", /--sort-by: map is a list or a map/],
    ["", /malformed field ""/],
    ["size,", /malformed field ""/],
    ["~~size", /malformed field "~~size"/],
    ["size time", /malformed field "size time"/],
  ])("refuses %j", (fields, reason) => expect(() => names({ "sort-by": fields })).toThrow(reason));
  it("knows a field that may be absent", () => {
    expect(names({ "sort-by": "purgeTime" }, ["purgeTime"])).toBe("abc");
  });
});

describe("for every filter", () => {
  /** As a person would write it. */
  function printed(filter: Filter): string {
    switch (filter.kind) {
      case "presence":
        return `${filter.field}:*`;
      case "comparison":
        return `${filter.field}${filter.operator}"${filter.operand.replaceAll(/["\\]/g, "\\$&")}"`;
      case "not":
        return `NOT ${within(filter.inner)}`;
      case "all":
        return filter.parts.map(within).join(" AND ");
      case "any":
        return filter.parts.map(within).join(" OR ");
    }
  }
  const within = (filter: Filter): string =>
    filter.kind === "all" || filter.kind === "any" ? `(${printed(filter)})` : printed(filter);

  const field = fc.constantFrom("state", "shardCount", "createTime", "hold.reason", "pins", "backupFiles.keys", "none");
  const operand = fc.oneof(fc.string({ maxLength: 6 }), fc.constantFrom("ACTIVE", "2", "-1d", "2026-11-20", "10", "*"));
  const { filter: aFilter } = fc.letrec<{ filter: Filter }>((tie) => ({
    filter: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.record({ kind: fc.constant("comparison" as const), field, operator: fc.constantFrom(...operators), operand }),
      fc.record({ kind: fc.constant("presence" as const), field }),
      fc.record({ kind: fc.constant("not" as const), inner: tie("filter") }),
      fc.record({
        kind: fc.constantFrom("all" as const, "any" as const),
        parts: fc.array(tie("filter"), { minLength: 2, maxLength: 3 }),
      }),
    ),
  }));
  const not = (inner: Filter): Filter => ({ kind: "not", inner });
  const isShort = (filter: Filter): boolean => printed(filter).length <= 1_000;

  it("what was printed is read as it was", () => {
    fc.assert(
      fc.property(aFilter.filter(isShort), (filter) => {
        expect(parseFilter(printed(filter))).toEqual(filter);
      }),
    );
  });
  it("De Morgan: not all is any not", () => {
    fc.assert(
      fc.property(fc.array(aFilter, { minLength: 1, maxLength: 3 }), (parts) => {
        expect(matches(not({ kind: "all", parts }), backup, now)).toBe(
          matches({ kind: "any", parts: parts.map(not) }, backup, now),
        );
        expect(matches(not({ kind: "any", parts }), backup, now)).toBe(
          matches({ kind: "all", parts: parts.map(not) }, backup, now),
        );
      }),
    );
  });
  it("NOT a=b is a!=b", () => {
    fc.assert(
      fc.property(field, operand, (name, value) => {
        const comparison = { kind: "comparison" as const, field: name, operand: value };
        expect(matches(not({ ...comparison, operator: "=" }), backup, now)).toBe(
          matches({ ...comparison, operator: "!=" }, backup, now),
        );
      }),
    );
  });
  it("no text makes it crash: it is read, or refused with a position", () => {
    const alphabet = fc.constantFrom(..."a.=!<>:()\"'\\ *~-1", "AND", "OR", "NOT", " AND ", "state=ACTIVE");
    const text = fc.oneof(fc.string({ unit: "binary", maxLength: 50 }), fc.string({ unit: alphabet, maxLength: 40 }));
    fc.assert(
      fc.property(text, (typed) => {
        try {
          matches(parseFilter(typed), backup, now);
        } catch (error) {
          expect(error).toBeInstanceOf(StatusError);
          expect(error).toMatchObject({
            code: "INVALID_ARGUMENT",
            message: expect.stringMatching(/at character \d+: /),
          });
        }
      }),
      { numRuns: 2_000 },
    );
  });
  it("a thousand parentheses are no deeper than the stack", () => {
    expect(() => parseFilter("(".repeat(1_000))).toThrow(/at character 1001: expected a field/);
    expect(() => parseFilter(`${"NOT ".repeat(240)}state=ACTIVE`)).not.toThrow();
  });
});
