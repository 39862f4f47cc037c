import { describe, expect, it } from "vitest";
import type { Backup, BackupFile } from "../../shared/backup/backup.ts";
import { shrunken } from "../../shared/backup/shrinkage.ts";

/** A backup of these files: keys, bytes (100 a key where absent), and, in a cluster, slots. */
function backup(id: string, ...files: { keys: number; bytes?: number; slots?: string }[]): Backup {
  const backupFiles = files.map(
    ({ keys, bytes = 100 * keys, slots }) =>
      ({ keys, sizeBytes: bytes, ...(slots !== undefined && { slots }) }) as BackupFile,
  );
  const totalSizeBytes = backupFiles.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { name: `backupCollections/orders/backups/${id}`, backupFiles, totalSizeBytes } as Backup;
}

const told = (newest: Backup, ...earlier: Backup[]): string[] =>
  shrunken(newest, earlier).map(({ severity, message }) => `${severity} ${message.replaceAll(/\S*backups\//g, "")}`);

describe("a backup against the one before", () => {
  it.each([
    [1_000, 500, []],
    [1_000, 499, ["WARNING new against old: 499 keys instead of 1000"]],
    [999, 1, []],
    [1_000_000, 1_000_001, []],
    [1_000_000, 3, ["WARNING new against old: 3 keys instead of 1000000"]],
    [1, 0, ["CRITICAL new against old: 0 keys instead of 1"]],
    [0, 0, []],
  ])("of %d keys has %d: %j", (before, now, expected) => {
    expect(told(backup("new", { keys: now, bytes: 300 }), backup("old", { keys: before, bytes: 300 }))).toEqual(
      expected,
    );
  });

  it.each([
    [1_048_576, 524_287, ["WARNING new against old: 524287 bytes instead of 1048576"]],
    [1_048_576, 524_288, []],
    [1_048_575, 1, []],
  ])("with as many keys in %d bytes has %d: %j", (before, now, expected) => {
    expect(told(backup("new", { keys: 10, bytes: now }), backup("old", { keys: 10, bytes: before }))).toEqual(expected);
  });

  const shards = (first: number, second: number, third = 9_000) => [
    { keys: first, slots: "0-5460" },
    { keys: second, slots: "5461-10922" },
    { keys: third, slots: "10923-16383" },
  ];

  it("of a cluster names the shard that has lost its keys, though the whole has hardly shrunk", () => {
    const [newest, before] = [backup("new", ...shards(9_000, 0)), backup("old", ...shards(9_000, 9_000))];
    expect(told(newest, before)).toEqual(["CRITICAL new against old: slots 5461-10922: 0 keys instead of 9000"]);
    expect(told(backup("new", ...shards(9_000, 4_000)), before)).toEqual([
      "WARNING new against old: slots 5461-10922: 4000 keys instead of 9000",
    ]);
    expect(told(backup("new", ...shards(9_000, 0)), backup("old", ...shards(9_000, 9)))).toEqual([]);
  });

  it("of a cluster whose slots have moved is compared as a whole", () => {
    const moved = [
      { keys: 27_000, slots: "0-16000" },
      { keys: 0, slots: "16001-16383" },
    ];
    expect(told(backup("new", ...moved), backup("old", ...shards(9_000, 9_000)))).toEqual([]);
  });

  it("names three shards, and counts the others", () => {
    const many = (keys: number) => Array.from({ length: 9 }, (_, n) => ({ keys, slots: `${n}-${n}` }));
    const [message = ""] = told(backup("new", ...many(0)), backup("old", ...many(5_000)));
    expect(message).toMatch(
      /^CRITICAL new against old: 0 keys instead of 45000; slots 0-0: .*; slots 2-2: .*; 6 more shards$/,
    );
  });

  it("says which one to hold, as the command wants it", () => {
    const [symptom] = shrunken(backup("new", { keys: 0 }), [backup("old", { keys: 5 })]);
    expect(symptom?.advice).toContain("valkeep backups hold orders/old --reason=");
  });
});

describe("a backup against several", () => {
  it("is as bad as against the worst, so that an empty one is not in line with an empty one", () => {
    const [full, empty] = [backup("full", { keys: 5_000 }), backup("empty", { keys: 0 })];
    expect(told(backup("new", { keys: 0 }), empty, full)).toEqual([
      "CRITICAL new against full: 0 keys instead of 5000",
    ]);
    expect(told(backup("new", { keys: 900 }), backup("half", { keys: 2_000 }), full)).toHaveLength(1);
    expect(told(full, empty, full)).toEqual([]);
    expect(told(full)).toEqual([]);
  });
});
