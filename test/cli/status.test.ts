import { beforeEach, describe, expect, it } from "vitest";
import type { Instance } from "../../shared/backup/backup.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { newOperation } from "../../shared/pipeline/identity.ts";
import { ask, endpoint, inOrder, orders } from "../pipeline/watched.ts";
import { createWorld, instanceOf, type World } from "../pipeline/world.ts";
import { valkeep } from "./terminal.ts";

let world: World;
beforeEach(async () => {
  world = await inOrder();
});

const status = async (flags = "") => await valkeep(`status ${flags}`, { ports: world.ports });

/** Instances by the number, none of which can be reached. */
async function register(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const data: Instance = {
      ...instanceOf(`a-rather-long-name-of-an-instance-${n}`, "127.0.0.1:9"),
      backupObjective: 60,
    };
    await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
  }
}

async function fail(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const operation: Operation = {
      ...newOperation("export.v1.requested", { backup: `b${n}` }, `export-${n}`, "2026-01-01T00:00:00.000Z"),
      done: true,
      endTime: new Date(world.clock.now()).toISOString(),
      hasFailed: true,
      error: {
        code: "DATA_LOSS",
        message: `something is lost, and that takes many words to say, ${"word ".repeat(30)}`,
      },
    };
    await world.ports.store.commit([{ kind: "create", path: operation.name, data: operation }]);
  }
}

describe("status", () => {
  it("of a world in order is short and ends with 0", async () => {
    await world.clock.advance(3 * 3_600_000);
    await world.look();
    const next = new Date(world.clock.now() + 23 * 3_600_000).toISOString();
    const { list } = world.ports.scheduler;
    world.ports.scheduler.list = async () => (await list()).map((job) => ({ ...job, scheduleTime: next }));
    const { exitCode, stdout } = await status();
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(/^1 instances, 1 backups, \d+ B; watched 0 s ago$/),
      "",
      "INSTANCE  BACKED UP  OBJECTIVE  NEXT RUN  STATE",
      "orders    3 h ago    26 h       in 23 h   ok",
      "",
      "no findings",
      "",
      "operations: 0 running, 0 failed within a day; swept never",
      "",
    ]);
    expect(exitCode).toBe(0);
  });

  it("says what is wrong, the worst first, and ends with 1 where something is critical", async () => {
    world.valkey.stop(endpoint);
    await world.clock.advance(27 * 3_600_000);
    await world.look();
    const { exitCode, stdout } = await status();
    expect(stdout).toContain("orders    27 h ago   26 h                 CRITICAL\n");
    expect(stdout).toContain(
      "findings: 1 CRITICAL, 1 WARNING, 0 INFO\nCRITICAL  orders: the newest verified backup is of",
    );
    expect(stdout).toContain("\nWARNING   orders: nobody answers at 127.0.0.1:7001\n");
    expect(exitCode).toBe(1);
  });

  it("ends with 0 where nothing is worse than a warning", async () => {
    world.valkey.stop(endpoint);
    await world.look();
    expect((await status()).exitCode).toBe(0);
  });

  it("fits a screen of 80 by 24, however much is wrong", async () => {
    await register(30);
    await world.clock.advance(3_600_000);
    await fail(10);
    await world.look();
    const { stdout } = await status();
    const lines = stdout.trimEnd().split("\n");
    expect(lines.length).toBeLessThanOrEqual(23);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout).toContain("and 24 more instances: valkeep instances list");
    expect(stdout).toMatch(/and \d+ more findings: valkeep findings list/);
    expect(stdout).toContain("10 failed within a day");
  });

  it("shows the rest while the scheduler does not answer", async () => {
    world.ports.scheduler.list = () => Promise.reject(new StatusError("UNAVAILABLE", "the scheduler gave no answer"));
    const { exitCode, stdout, stderr } = await status();
    expect([exitCode, stderr]).toEqual([0, "the next runs are not known: the scheduler gave no answer\n"]);
    expect(stdout).toContain("no findings");
  });

  it("shows the others where an instance cannot be understood", async () => {
    const schedule = { automatedBackupMode: "ENABLED" as const, retentionSeconds: 86_400 };
    const odd = { ...schedule, fixedFrequencySchedule: { startTime: { hours: 99 } } };
    const data = { ...instanceOf("odd", endpoint), automatedBackupConfig: odd };
    await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
    const { stdout, stderr } = await status();
    expect(stderr).toMatch(/^instances\/odd: cron/);
    expect(stdout).toMatch(/\norders .* 26 h .*ok\n/);
  });

  it("says when nobody watches", async () => {
    expect((await status()).stdout).toContain("watch has not run yet");
    await world.look();
    await world.clock.advance(3_600_000);
    expect((await status()).stdout).toContain("watched 60 min ago: NOBODY WATCHES");
  });

  it("counts what nobody works at yet apart from what runs", async () => {
    const now = new Date(world.clock.now()).toISOString();
    const soon = new Date(world.clock.now() + 600_000).toISOString();
    const [later, postponed, running] = ["1", "2", "3"].map((n) =>
      newOperation("sweep.v1.requested", {}, `sweep-${n}`, now),
    ) as [Operation, Operation, Operation];
    later.deadlineTime = new Date(Date.parse(later.deadlineTime) + 600_000).toISOString();
    postponed.postponed = { until: soon, reason: "it waits" };
    for (const data of [later, postponed, running])
      await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
    expect((await status()).stdout).toContain("operations: 1 running, 2 waiting, 0 failed within a day");
    const { stdout } = await valkeep("operations list --sort-by=name --json", { ports: world.ports });
    const names: string[] = JSON.parse(stdout).map(({ name }: Operation) => name);
    const table = (await valkeep("operations list --sort-by=name", { ports: world.ports })).stdout.split("\n");
    expect(table[names.indexOf("operations/sweep-1") + 1]).toContain(`begins at ${soon}`);
  });

  it("tells everything in JSON", async () => {
    await world.clock.advance(27 * 3_600_000);
    await world.look();
    await world.events.publish({ type: "sweep.v1.requested", data: {}, attributes: {} });
    await world.settle();
    const { exitCode, stdout } = await status("--json");
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      watchTime: expect.any(String),
      instances: [{ instance: "orders", ageSeconds: 97_200, objectiveSeconds: 93_600, severity: "CRITICAL" }],
      findings: [{ kind: "backup-overdue", resource: orders, state: "OPEN" }],
      running: [],
      failed: [],
      sweep: { verb: "sweep", done: true },
      totals: { instances: 1, backups: 1 },
    });
  });

  it("of nothing at all says how to begin", async () => {
    world = createWorld();
    const { exitCode, stdout } = await status();
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining("valkeep instances create registers one")]);
  });
});

describe("findings list", () => {
  it("shows what is open, the worst first, and with --all what was cleared", async () => {
    world.valkey.stop(endpoint);
    await world.clock.advance(27 * 3_600_000);
    await world.look();
    const words = (text: string) => text.split("\n").map((line) => line.split(/ {2,}/).slice(0, 3).join(" "));
    expect(words((await valkeep("findings list", { ports: world.ports })).stdout)).toEqual([
      "SEVERITY FINDING RESOURCE",
      `CRITICAL backup-overdue ${orders}`,
      `WARNING instance-unreachable ${orders}`,
      "",
    ]);
    const warnings = await valkeep("findings list --filter=severity=WARNING --limit=1 --json", { ports: world.ports });
    expect(JSON.parse(warnings.stdout)).toMatchObject([{ kind: "instance-unreachable" }]);
    const narrow = await valkeep("findings list", { ports: world.ports, columns: 80 });
    expect(narrow.stdout).toContain("valkeep instances check orders tries it step by step");
    world.valkey.start(endpoint);
    await ask(world, "backup.v1.requested");
    await world.clock.advance(1_000);
    await world.look();
    expect(await valkeep("findings list", { ports: world.ports })).toMatchObject({
      stdout: "",
      stderr: "no findings\n",
    });
    const all = JSON.parse((await valkeep("findings list --all --json", { ports: world.ports })).stdout);
    expect(all).toMatchObject([{ state: "CLEARED" }, { state: "CLEARED" }]);
  });
});
