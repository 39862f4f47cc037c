import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HealthKind, health, healthKinds, type Inspection } from "../../shared/backup/health.ts";
import { parseSaveRules, worstLossSeconds } from "../../shared/backup/save-rule.ts";

/** What a real server told, recorded by `test/fixture/info/make.ts`. */
function recorded(name: string): Inspection {
  const file = join(import.meta.dirname, "../fixture/info", `${name}.json`);
  const { config, info } = JSON.parse(readFileSync(file, "utf8")) as {
    config: Inspection["config"];
    info: string[];
  };
  const fields = info.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]);
  return { endpoint: "10.0.0.5:6379", config, info: Object.fromEntries(fields) };
}

const usual = recorded("usual");
const told = (info: Record<string, string>, config: Inspection["config"] = {}): Inspection => ({
  ...usual,
  info: { ...usual.info, ...info },
  config: { ...usual.config, ...config },
});
const without = (node: Inspection, field: string): Inspection => {
  const { [field]: _, ...info } = node.info;
  return { ...node, info };
};

/** What is wrong, by kind. */
const faults = (...nodes: Inspection[]): Record<string, string> =>
  Object.fromEntries(
    health(nodes)
      .filter(({ state }) => state !== "OK")
      .map(({ kind, state }) => [kind, state]),
  );
const reading = (kind: HealthKind, ...nodes: Inspection[]) => health(nodes).find((one) => one.kind === kind);

describe("the health of a recorded server", () => {
  it.each([
    ["usual", {}],
    ["redis-7.0", {}],
    ["valkey-9.1", {}],
    ["nothing-saved", { "loss-window": "WARNING" }],
    ["save-failed", { "bgsave-failed": "CRITICAL" }],
    ["aof", { "loss-window": "INFO" }],
    [
      "bare",
      {
        "stop-writes-off": "INFO",
        "rdbchecksum-off": "WARNING",
        "rdbcompression-off": "INFO",
        "repl-timeout-short": "WARNING",
      },
    ],
    ["replica", { "replica-link-down": "WARNING" }],
  ])("%s has these faults: %j", (name, expected) => {
    expect(faults(recorded(name))).toEqual(expected);
  });
});

describe("a check", () => {
  it.each<[string, Inspection, HealthKind, string, RegExp]>([
    [
      "of an AOF that cannot be written",
      told({ aof_enabled: "1", aof_last_write_status: "err" }),
      "aof-write-failed",
      "CRITICAL",
      /takes no writes/,
    ],
    [
      "of an AOF that cannot be rewritten",
      told({ aof_enabled: "1", aof_last_bgrewrite_status: "err" }),
      "aof-rewrite-failed",
      "WARNING",
      /the file grows/,
    ],
    ["of a rule that comes late", told({}, { save: "86400 1" }), "loss-window", "WARNING", /up to 86400 s/],
    [
      "of rules for many changes only",
      told({}, { save: "60 1000 300 10" }),
      "loss-window",
      "WARNING",
      /fewer than 10 changes are never saved/,
    ],
    [
      "of changes that a rule should have saved",
      told({ rdb_changes_since_last_save: "7", rdb_last_save_time: "1000", server_time_usec: "8000000000" }),
      "changes-unsaved",
      "WARNING",
      /^7 changes were not saved for 7000 s, though the save rules promise 3600 s/,
    ],
    [
      "of memory for a snapshot like the last",
      told({ used_memory_rss: "900", rdb_last_cow_size: "200", used_memory: "800", total_system_memory: "1000" }),
      "fork-headroom",
      "CRITICAL",
      /takes 1100 bytes.*has 1000/,
    ],
    [
      "of memory for the worst snapshot",
      told({
        used_memory_rss: "600",
        used_memory: "500",
        mem_not_counted_for_evict: "50",
        total_system_memory: "1000",
      }),
      "fork-headroom",
      "WARNING",
      /takes 1050 bytes/,
    ],
    [
      "of a limit that leaves no room",
      told({ maxmemory: "600", total_system_memory: "1000" }),
      "maxmemory-headroom",
      "INFO",
      /600 of the system's 1000/,
    ],
    ["of a fork that took long", told({ latest_fork_usec: "1500000" }), "fork-slow", "WARNING", /1500 ms/],
    [
      "of a replica that lags",
      told({ slave0: "ip=10.0.0.6,port=6379,state=online,offset=1,lag=61,type=replica" }),
      "replica-lagging",
      "WARNING",
      /10\.0\.0\.6:6379 by 61 s/,
    ],
    [
      "of the output buffer of an old server",
      told({ redis_version: "6.2.14", used_memory: "999999999999" }),
      "output-buffer-small",
      "WARNING",
      /ends at 268435456 bytes/,
    ],
  ])("%s finds the fault", (_name, node, kind, state, message) => {
    expect(reading(kind, node)).toMatchObject({ state, message: expect.stringMatching(message) });
    expect(reading(kind, node)?.advice).toMatch(/\.$/);
    expect(reading(kind, usual)?.state).toBe("OK");
  });

  it("takes a link that fetches a snapshot for no replica", () => {
    const ours = told({ slave0: "ip=10.0.0.9,port=0,state=online,offset=0,lag=99" });
    expect(faults(ours)).toEqual({});
  });

  it("waits for a save that is under way", () => {
    const saving = { rdb_changes_since_last_save: "7", rdb_last_save_time: "1", rdb_bgsave_in_progress: "1" };
    expect(faults(told(saving))).toEqual({});
  });

  it("counts a save of the server's clock, so that ours does not matter", () => {
    const node = told({ rdb_changes_since_last_save: "1", rdb_last_save_time: "5", server_time_usec: "6000000" });
    expect(faults(node)).toEqual({});
  });
});

describe("what could not be read", () => {
  it("is said once, and no check that needs it calls it fine or faulty", () => {
    const blind = { ...usual, config: {} };
    expect(reading("config-unread", blind)).toMatchObject({ state: "INFO", message: expect.stringContaining("save") });
    expect(faults(blind)).toEqual({
      "stop-writes-off": "UNREAD",
      "loss-window": "UNREAD",
      "changes-unsaved": "UNREAD",
      "rdbchecksum-off": "UNREAD",
      "rdbcompression-off": "UNREAD",
      "repl-timeout-short": "UNREAD",
      "config-unread": "INFO",
    });
  });

  it("leaves the other findings: a failed save is seen without CONFIG", () => {
    expect(faults({ ...recorded("save-failed"), config: {} })).toMatchObject({ "bgsave-failed": "CRITICAL" });
  });

  it.each([
    "rdb_last_bgsave_status",
    "total_system_memory",
    "latest_fork_usec",
    "role",
    "aof_enabled",
  ])("of INFO, such as %s, is no fault", (field) => {
    const states = health([without(usual, field)]).map(({ state }) => state);
    expect(new Set(states)).toEqual(new Set(["OK", "UNREAD"]));
  });

  it("is nothing at all where no node was asked", () => {
    expect(new Set(health([]).map(({ state }) => state))).toEqual(new Set(["UNREAD"]));
  });
});

describe("of several nodes", () => {
  it("the worst speaks for all, by its endpoint", () => {
    const other = { ...recorded("save-failed"), endpoint: "10.0.0.6:6379" };
    expect(reading("bgsave-failed", usual, other)).toMatchObject({
      state: "CRITICAL",
      message: expect.stringMatching(/^10\.0\.0\.6:6379: the last BGSAVE failed/),
    });
  });
});

describe("any answer of a server", () => {
  const text = fc.oneof(fc.string(), fc.integer().map(String), fc.constantFrom("ok", "err", "yes", "no", ""));
  const fields = Object.keys(usual.info);
  const node = fc.record({
    endpoint: fc.constant("h:1"),
    info: fc.dictionary(fc.constantFrom(...fields, "slave0", "slave1"), text),
    config: fc.dictionary(fc.constantFrom(...Object.keys(usual.config)), text),
  });

  it("gets one reading for each check, with advice exactly where there is a fault", () => {
    fc.assert(
      fc.property(fc.array(node, { maxLength: 3 }), (nodes) => {
        const readings = health(nodes);
        expect(readings.map(({ kind }) => kind)).toEqual(healthKinds);
        for (const { state, advice } of readings) expect(advice === "").toBe(state === "OK" || state === "UNREAD");
      }),
    );
  });
});

describe("save rules", () => {
  it.each([
    ["", []],
    [
      "3600 1 300 100",
      [
        { seconds: 3600, changes: 1 },
        { seconds: 300, changes: 100 },
      ],
    ],
    ["3600", undefined],
    ["a b", undefined],
  ])("%j are read as %j", (text, rules) => {
    expect(parseSaveRules(text)).toEqual(rules);
  });

  it("lose at worst what the quickest rule for a single change leaves", () => {
    const rules = fc.array(fc.record({ seconds: fc.nat(100_000), changes: fc.nat(1000) }));
    fc.assert(
      fc.property(rules, fc.nat(100_000), (others, seconds) => {
        const worst = worstLossSeconds([...others, { seconds, changes: 1 }]);
        expect(worst).toBeLessThanOrEqual(seconds);
        expect(worst).toBeLessThanOrEqual(worstLossSeconds(others));
      }),
    );
    expect(worstLossSeconds([{ seconds: 1, changes: 2 }])).toBe(Number.POSITIVE_INFINITY);
  });
});
