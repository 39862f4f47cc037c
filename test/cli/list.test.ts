import { beforeEach, describe, expect, it } from "vitest";
import { cellText, time } from "../../infra/cli/cell.ts";
import { fitted } from "../../infra/cli/table.ts";
import type { Backup } from "../../shared/backup/backup.ts";
import { timeOf } from "../../shared/backup/duration.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { createWorld, instanceOf, type World } from "../pipeline/world.ts";
import { type Options, valkeep } from "./terminal.ts";

const hour = 3_600_000;
let world: World;
let now: number;

beforeEach(() => {
  world = createWorld();
  now = world.clock.now();
});

/** A backup that is so many hours old. */
async function backup(id: string, age: number, fields: Partial<Backup> = {}): Promise<void> {
  const createTime = timeOf(now - age * hour);
  const data: Backup = {
    ...{ name: `backupCollections/orders/backups/${id}`, uid: id, instance: "instances/orders", instanceUid: "u" },
    ...{ location: "asia-northeast1", bucket: "vault", operation: "operations/backup-1", mode: "CLUSTER_DISABLED" },
    ...{ state: "ACTIVE", backupType: "ON_DEMAND", verification: "CHECKED", createTime, totalSizeBytes: 0 },
    ...{ expireTime: timeOf(now + 35 * 24 * hour), shardCount: 1, replicaCount: 0, backupFiles: [], pins: [] },
    ...fields,
  };
  await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
}

async function operation(n: number, fields: Partial<Operation> = {}): Promise<void> {
  const data: Operation = {
    ...{ name: `operations/backup-${n}`, verb: "backup", target: "instances/orders", done: true, holds: [] },
    ...{ request: { type: "backup.v1.requested", data: {} }, progress: { step: "backup.v1.requested" } },
    ...{ createTime: timeOf(now - n * 1000), deadlineTime: timeOf(now) },
    ...fields,
  };
  await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
}

/** The command's words, which may hold spaces. */
const list = (words: string[], options: Options = {}) => valkeep(words, { ports: world.ports, ...options });
/** The first column of what is listed. */
async function listed(...words: string[]): Promise<string[]> {
  const { stdout } = await list(words);
  const [, ...rows] = stdout.trimEnd().split("\n");
  return rows.map((row) => row.split(" ")[0] ?? "");
}

describe("every list", () => {
  it.each([
    "instances",
    "backups",
    "collections",
    "operations",
    "schedules",
    "findings",
  ])("of %s takes the flags", async (noun) => {
    for (const flags of [["--filter=name=x AND NOT state=y"], ["--sort-by=~name,state"], ["--limit=1"]]) {
      const { exitCode, stderr } = await list([noun, "list", ...flags]);
      expect([exitCode, stderr]).toEqual([0, `no ${noun}\n`]);
    }
  });

  it.each([
    ["operations", "hasFailed"],
    ["operations", "progress.resume"],
    ["backups", "deferredBy"],
    ["backups", "reviewTime"],
  ])("of %s may be asked for %s before any of them has it", async (noun, field) => {
    await backup("a", 1);
    await operation(1);
    for (const flag of [`--filter=${field}:*`, `--sort-by=${field}`])
      expect(await list([noun, "list", flag])).toMatchObject({ exitCode: 0 });
  });

  it.each([
    ["instances", "exportPolicy.gcsBucket", "instances/orders"],
    ["instances", "backupObjective", "instances/orders"],
    ["collections", "deleting", "backupCollections/orders"],
  ])("of %s may be asked for %s before any of them has it, too", async (noun, field, path) => {
    await world.ports.store.commit([{ kind: "create", path, data: { ...instanceOf("orders", "h:1"), name: path } }]);
    expect(await list([noun, "list", `--filter=${field}:*`])).toMatchObject({ exitCode: 0 });
  });

  it.each([
    [["--filter=state"], /^--filter: malformed filter at character 6: expected =/],
    [["--filter="], /^--filter: malformed filter at character 1: expected a field/],
    [["--sort-by=~"], /^--sort-by: malformed field "~": expected such as createTime/],
    [["--limit=0"], /^--limit: malformed count "0": expected 1 to 1000/],
    [["--limit=1001"], /^--limit: malformed count/],
    [["--limit=many"], /^--limit: malformed count/],
  ])("refuses %j before it asks anybody", async (flags, sentence) => {
    const { exitCode, stdout, stderr } = await valkeep(["instances", "list", ...flags]);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(sentence);
  });
  it("refuses a field that nothing has, and a value that cannot be compared, as wrong usage", async () => {
    await backup("one", 1);
    for (const [flag, sentence] of [
      ["--filter=stat=ACTIVE", /^--filter: nothing that is listed has a field stat: expected one of .*state/],
      ["--filter=totalSizeBytes>big", /expected a size such as 500MB/],
      ["--sort-by=totalSize", /^--sort-by: nothing that is listed has a field totalSize:/],
    ] as const) {
      const { exitCode, stderr } = await list(["backups", "list", flag]);
      expect(exitCode).toBe(2);
      expect(stderr).toMatch(sentence);
    }
  });
});

describe("backups list", () => {
  beforeEach(async () => {
    await backup("small", 3, { totalSizeBytes: 10 });
    await backup("large", 30, { totalSizeBytes: 2_000_000_000, backupType: "AUTOMATED" });
    await backup("gone", 50, { state: "DELETING", backupType: "AUTOMATED", totalSizeBytes: 2_000_000 });
  });

  it("shows what the filter lets through", async () => {
    expect(await listed("backups", "list", "--filter=backupType=AUTOMATED AND state=ACTIVE")).toEqual(["orders/large"]);
    expect(await listed("backups", "list", "--filter=createTime<-2d OR totalSizeBytes<1kB")).toEqual([
      "orders/small",
      "orders/gone",
    ]);
  });
  it("keeps its own order where none is asked for, and sorts otherwise", async () => {
    expect(await listed("backups", "list")).toEqual(["orders/small", "orders/large", "orders/gone"]);
    expect(await listed("backups", "list", "--sort-by=backupType,~totalSizeBytes", "--limit=2")).toEqual([
      "orders/large",
      "orders/gone",
    ]);
  });
  it("shows the newest first by their times, however those are written, and equal ones by their names", async () => {
    await backup("c-second", 0, { createTime: "2026-01-01T00:00:05Z" });
    await backup("b-half", 0, { createTime: "2026-01-01T00:00:05.500Z" });
    await backup("a-second", 0, { createTime: "2026-01-01T00:00:05.000Z" });
    await backup("b-second", 0, { createTime: "2026-01-01T00:00:05Z" });
    const expected = ["orders/b-half", "orders/a-second", "orders/b-second", "orders/c-second"];
    expect(await listed("backups", "list", "orders", "--filter=name:-second OR name:-half")).toEqual(expected);
    expect(await listed("backups", "list", "--filter=name:-second OR name:-half")).toEqual(expected);
  });
  it("prints with --json the same documents, whole", async () => {
    const { stdout } = await list(["backups", "list", "--filter=state!=ACTIVE", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject([{ uid: "gone", totalSizeBytes: 2_000_000 }]);
  });
  it("says that nothing matches, and asking for what none has is no mistake", async () => {
    const { exitCode, stdout, stderr } = await list(["backups", "list", "--filter=hold.reason:audit"]);
    expect([exitCode, stdout, stderr]).toEqual([0, "", "no backups match the filter\n"]);
    expect((await list(["backups", "list", "--filter=hold:*", "--json"])).stdout).toBe("[]\n");
  });

  it("is plain and exact in a pipe, amounts at the right", async () => {
    const { stdout } = await list(["backups", "list", "--limit=2"]);
    const [created, expires] = [timeOf(now - 3 * hour), timeOf(now + 35 * 24 * hour)];
    expect(stdout.split("\n").slice(0, 2)).toEqual([
      `BACKUP        STATE   VERIFICATION  TYPE          SIZE  CREATED                   EXPIRES`,
      `orders/small  ACTIVE  CHECKED       ON_DEMAND     10 B  ${created}  ${expires}`,
    ]);
  });
  it("shows of a deleted backup when it is erased", async () => {
    const purgeTime = timeOf(now + 24 * hour);
    await backup("deleted", 1, { state: "DELETING", purgeTime });
    const { stdout } = await list(["backups", "list", "--filter=name:deleted"]);
    expect(stdout.split("\n")[1]).toMatch(new RegExp(`^orders/deleted .* ${purgeTime}$`));
  });
  it("tells on a wide terminal how long ago, on a narrower one to the minute, and cuts what still does not fit", async () => {
    const minute = `${timeOf(now - 3 * hour)
      .slice(0, 16)
      .replace("T", " ")}Z`;
    const row = async (columns: number) =>
      (await list(["backups", "list", "--limit=1"], { columns })).stdout.split("\n")[1];
    expect(await row(200)).toMatch(new RegExp(`  ${minute} \\(3h ago\\)  .*Z \\(in 35d\\)$`));
    expect(await row(100)).toMatch(new RegExp(`  ${minute}  \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\dZ$`));
    expect(await row(30)).toBe("orders/small  ACTIVE  CHECKED…");
    expect(await row(5)).toBe("orders/small…");
  });
});

describe("operations list", () => {
  it("reads on until as many match as are wanted", async () => {
    for (let n = 0; n < 700; n++)
      await operation(n, n === 650 || n > 690 ? { error: { code: "UNAVAILABLE", message: "no" } } : {});
    let pages = 0;
    const { store } = world.ports;
    const query: typeof store.query = (asked) => {
      pages += 1;
      return store.query(asked);
    };
    const ports = { ...world.ports, store: { ...store, query } };
    const words = ["operations", "list", "--filter=error.code=UNAVAILABLE"];
    const { stdout } = await list([...words, "--limit=2", "--json"], { ports });
    expect(JSON.parse(stdout).map(({ name }: Operation) => name)).toEqual([
      "operations/backup-650",
      "operations/backup-691",
    ]);
    expect(pages).toBe(3);
    await list(["operations", "list", "--filter=done=true", "--limit=2"], { ports });
    expect(pages).toBe(4);
  });
  it("shows twenty where nobody says, whatever they are sorted by", async () => {
    for (let n = 0; n < 25; n++) await operation(n);
    expect(await listed("operations", "list")).toHaveLength(20);
    expect((await listed("operations", "list", "--sort-by=createTime"))[0]).toBe("backup-24");
  });
});

describe("instances list", () => {
  it("filters by what lies inside a document", async () => {
    for (const [id, hours] of [
      ["orders", 2],
      ["carts", 5],
    ] as const) {
      const data = instanceOf(id, "10.0.0.5:6379");
      data.automatedBackupConfig.fixedFrequencySchedule = { startTime: { hours } };
      await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
    }
    const filter =
      "--filter=automatedBackupConfig.fixedFrequencySchedule.startTime.hours>=3 AND endpoint=10.0.0.5:6379";
    expect(await listed("instances", "list", filter)).toEqual(["carts"]);
    expect(await listed("instances", "list", "--filter=automatedBackupConfig.retentionSeconds=35d")).toHaveLength(2);
  });
});

describe("a time", () => {
  const at = "2026-11-21T12:34:56.789Z";
  const from = (seconds: number) => cellText(time(at), { now: Date.parse(at) + seconds * 1000 });
  it.each([
    [0, "0s ago"],
    [119, "119s ago"],
    [120, "2m ago"],
    [2 * 3600 - 1, "119m ago"],
    [2 * 3600, "2h ago"],
    [2 * 86_400 - 1, "47h ago"],
    [2 * 86_400, "2d ago"],
    [-1, "in 1s"],
    [-400 * 86_400, "in 400d"],
  ])("%i seconds before now is %s", (seconds, distance) => {
    expect(from(seconds)).toBe(`2026-11-21 12:34Z (${distance})`);
  });
  it("that has not come is nothing, and what is none is shown as it is", () => {
    expect(cellText(time(undefined), "minute")).toBe("");
    expect(cellText(time("never"), "minute")).toBe("never");
  });
});

describe("a line", () => {
  it("is cut at the width, but never in its first word", () => {
    expect(fitted("name  state\nlong-name  x", 9)).toBe("name  st…\nlong-name…");
    expect(fitted("name  state", 11)).toBe("name  state");
    expect(fitted("alone-and-long", 3)).toBe("alone-and-long…");
  });
});
