import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { Instance } from "../../shared/backup/backup.ts";
import { collectionName, instanceName } from "../../shared/backup/name.ts";
import { StatusError } from "../../shared/error.ts";
import { newOperation } from "../../shared/pipeline/identity.ts";
import type { Store } from "../../shared/pipeline/ports.ts";
import { createWorld, instanceOf, type World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

const endpoint = "127.0.0.1:7001";
let world: World;
beforeEach(() => {
  world = createWorld();
});

const stored = async (path = instanceName("orders")) => (await world.ports.store.get<Instance>(path))?.data;

async function register(changes: Partial<Instance> = {}): Promise<void> {
  const instance = { ...instanceOf("orders", endpoint), ...changes };
  await world.ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
}

/** An Operation that goes on and whose message nobody works at. */
async function live(name: string): Promise<string> {
  const operation = {
    ...newOperation("backup.v1.requested", { instance: "orders" }, name, "2026-01-01T00:00:00.000Z"),
  };
  await world.ports.store.commit([{ kind: "create", path: operation.name, data: operation }]);
  return operation.name;
}

describe("instances create", () => {
  it("registers the instance and waits for its schedule", async () => {
    const flags = "--automated-backup-config-mode=enabled --fixed-frequency-schedule-start-time-hours=2";
    const { exitCode, stdout } = await valkeepOn(
      world,
      `instances create orders --endpoint=${endpoint} ${flags} --json`,
    );
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual(await stored());
    expect(await stored()).toMatchObject({ endpoint, location: "asia-northeast1", engine: "SELF_MANAGED" });
    expect(await world.ports.scheduler.list()).toMatchObject([{ cron: "0 2 * * *", data: { instance: "orders" } }]);
  });

  it("takes the method of the snapshots, and refuses one that cannot work", async () => {
    const flags = "--endpoint=h:1 --snapshot-method=volume --async";
    const { exitCode } = await valkeepOn(world, `instances create orders ${flags} --data-directory=/mnt/orders`);
    expect([exitCode, await stored()]).toMatchObject([0, { snapshotMethod: "VOLUME", dataDirectory: "/mnt/orders" }]);
    const refused = await valkeep(`instances create more ${flags}`, world);
    expect(refused.exitCode).toBe(2);
    expect(refused.stderr).toContain("snapshot method volume needs the server's data directory");
    expect((await valkeepOn(world, "instances update orders --snapshot-method=replication")).exitCode).toBe(0);
    expect(await stored()).not.toHaveProperty("dataDirectory");
  });

  it("refuses an id that is registered", async () => {
    await register();
    const { exitCode, stderr } = await valkeepOn(world, "instances create orders --endpoint=h:1");
    expect([exitCode, (await stored())?.endpoint]).toEqual([3, endpoint]);
    expect(stderr).toContain("instances/orders is registered already; update changes it (ALREADY_EXISTS)");
  });

  it("says that an hour is of no use while automated backups are disabled", async () => {
    const flags = "--fixed-frequency-schedule-start-time-hours=2 --async";
    const { stderr } = await valkeep(`instances create orders --endpoint=h:1 ${flags}`, world);
    expect(stderr).toContain("automated backups are disabled");
  });

  it("says so of a schedule that is set later", async () => {
    await valkeepOn(world, "instances create orders --endpoint=h:1");
    const cron = "instances update orders --automated-backup-config-snapshot-window=02:00-03:00";
    expect((await valkeepOn(world, cron)).stderr).toContain("automated backups are disabled");
    expect((await valkeepOn(world, `${cron} --automated-backup-config-mode=enabled`)).stderr).not.toContain("disabled");
    expect((await valkeepOn(world, cron)).stderr).not.toContain("disabled");
  });

  it("says so once, however often it has to decide anew, and not of what was refused", async () => {
    const flags = "--endpoint=h:1 --fixed-frequency-schedule-start-time-hours=2 --async";
    const { store } = world.ports;
    let rounds = 0;
    const crowded: Store = {
      ...store,
      commit: async (writes) => {
        rounds += 1;
        if (rounds < 3) throw new StatusError("ABORTED", "somebody else was quicker");
        await store.commit(writes);
      },
    };
    const created = await valkeep(`instances create orders ${flags}`, { ports: { ...world.ports, store: crowded } });
    expect(created.stderr.match(/are disabled/g)).toHaveLength(1);
    const refused = await valkeep(`instances create orders ${flags}`, { ports: world.ports });
    expect([refused.exitCode, refused.stderr]).toEqual([3, expect.not.stringContaining("are disabled")]);
  });

  it("with --async prints the operation's name and waits for nothing", async () => {
    const { exitCode, stdout } = await valkeep("instances create orders --endpoint=h:1 --async", {
      ports: world.ports,
    });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^operations\/schedule-[0-9a-f]{16}\n$/);
  });

  it("keeps a reference to the password", async () => {
    const line = "instances create orders --endpoint=h:1 --auth-user=backup --auth-secret=env:PASSWORD --async";
    await valkeep(line, { ports: world.ports, environment: { PASSWORD: "hunter2" } });
    expect(await stored()).toMatchObject({ authUser: "backup", authSecret: "env:PASSWORD" });
    expect(JSON.stringify(world.ports.store.all())).not.toContain("hunter2");
  });

  it("refuses a CA file that holds no certificate", async () => {
    const directory = await mkdtemp(join(tmpdir(), "valkeep-cli-"));
    await writeFile(join(directory, "ca.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    const flags = `--transit-encryption-mode=server-authentication --ca-file=${directory}/ca.pem`;
    const { exitCode, stderr } = await valkeep(`instances create orders --endpoint=h:1 ${flags}`, {
      ports: world.ports,
    });
    await rm(directory, { recursive: true });
    expect(exitCode).toBe(2);
    expect(stderr).toContain("is no certificate in PEM");
  });
});

describe("instances update", () => {
  it("changes the schedule's job", async () => {
    await register();
    const flags = "--fixed-frequency-schedule-start-time-hours=5";
    const { exitCode } = await valkeepOn(world, `instances update orders ${flags}`);
    expect(exitCode).toBe(0);
    expect(await world.ports.scheduler.list()).toMatchObject([{ cron: "0 5 * * *" }]);
  });

  it("refuses an instance that is not registered", async () => {
    const { exitCode } = await valkeepOn(world, "instances update orders --endpoint=h:1");
    expect(exitCode).toBe(3);
  });

  it("refuses another endpoint while a restore writes there", async () => {
    await register({ restoring: await live("restore-1") });
    const { exitCode, stderr } = await valkeep("instances update orders --endpoint=h:1", world);
    expect([exitCode, (await stored())?.endpoint]).toEqual([3, endpoint]);
    expect(stderr).toContain("is being restored by operations/restore-1");
  });

  it("puts a snapshot window in the hour's place", async () => {
    await valkeepOn(world, `instances create orders --endpoint=${endpoint} --automated-backup-config-mode=enabled`);
    await valkeepOn(world, "instances update orders --automated-backup-config-snapshot-window=15:00-16:00");
    expect(await world.ports.scheduler.list()).toMatchObject([{ cron: expect.stringMatching(/^\d+ 15 \* \* \*$/) }]);
    const { stdout } = await valkeep("instances list", world);
    expect(stdout).toContain("daily within 15:00-16:00 UTC");
  });

  it("puts a cron and its zone in the hour's place", async () => {
    await valkeepOn(world, `instances create orders --endpoint=${endpoint} --automated-backup-config-mode=enabled`);
    const [cron, zone] = ["*/15\t*\t*\t*\t*", "Asia/Tokyo"]; // the tabs, since a space ends a word here
    const flags = `--automated-backup-config-cron=${cron} --automated-backup-config-time-zone=${zone}`;
    expect((await valkeepOn(world, `instances update orders ${flags}`)).exitCode).toBe(0);
    expect(await world.ports.scheduler.list()).toMatchObject([{ cron: "*/15 * * * *", timeZone: "Asia/Tokyo" }]);
    const { stdout } = await valkeep("instances list", world);
    expect(stdout).toContain("*/15 * * * * Asia/Tokyo");
  });

  it("takes the job away when automated backups are kept for no time", async () => {
    await valkeepOn(world, `instances create orders --endpoint=${endpoint} --automated-backup-config-mode=enabled`);
    await valkeepOn(world, "instances update orders --automated-backup-config-retention=0d");
    expect(await world.ports.scheduler.list()).toEqual([]);
  });

  it("sets of which nodes snapshots are taken, and how many at once", async () => {
    await register();
    const flags = "--source=prefer-replica --max-parallel-shards=4";
    expect((await valkeepOn(world, `instances update orders ${flags}`)).exitCode).toBe(0);
    expect(await stored()).toMatchObject({ source: "PREFER_REPLICA", maxParallelShards: 4 });
    expect((await valkeepOn(world, "instances update orders --max-parallel-shards=many")).exitCode).toBe(2);
  });

  it("sets maintenance windows, and takes them away", async () => {
    await register();
    const flags =
      "--maintenance-window=default --maintenance-time-zone=Asia/Tokyo --maintenance-backup-policy=avoid-before";
    expect((await valkeepOn(world, `instances update orders ${flags}`)).exitCode).toBe(0);
    const policy = (await stored())?.maintenancePolicy;
    expect(policy).toMatchObject({ timeZone: "Asia/Tokyo", backupPolicy: "AVOID_BEFORE" });
    expect(policy?.weeklyMaintenanceWindow).toHaveLength(5);
    await valkeepOn(world, "instances update orders --maintenance-window=none");
    expect(await stored()).not.toHaveProperty("maintenancePolicy");
  });

  it("says that somebody works at it, and that this is over", async () => {
    await register();
    world.valkey.start(endpoint);
    await valkeepOn(world, "instances update orders --state=updating");
    const refused = await valkeepOn(world, "backups create orders");
    expect([refused.exitCode, refused.stderr]).toEqual([
      3,
      expect.stringContaining("valkeep instances update orders --state=active says that this is over"),
    ]);
    await valkeepOn(world, "instances update orders --state=active");
    expect((await valkeepOn(world, "backups create orders")).exitCode).toBe(0);
  });

  it("refuses a state that there is none of", async () => {
    await register();
    const { exitCode, stderr } = await valkeep("instances update orders --state=broken", world);
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining("expected one of active, updating")]);
  });

  it("changes the retention while a restore writes there", async () => {
    await register({ restoring: await live("restore-1") });
    const line = "instances update orders --automated-backup-config-retention=7d --async";
    expect((await valkeep(line, world)).exitCode).toBe(0);
    expect((await stored())?.automatedBackupConfig.retentionSeconds).toBe(7 * 86_400);
  });

  it("takes protection away with --no-deletion-protection-enabled", async () => {
    await register({ deletionProtectionEnabled: true });
    const line = "instances update orders --no-deletion-protection-enabled --async";
    await valkeep(line, world);
    expect((await stored())?.deletionProtectionEnabled).toBe(false);
  });
});

describe("instances delete", () => {
  const line = "instances delete orders";

  it("forgets the instance and its job once the word was typed", async () => {
    await valkeepOn(world, `instances create orders --endpoint=${endpoint} --automated-backup-config-mode=enabled`);
    const { exitCode } = await valkeepOn(world, line, { input: "delete\n" });
    expect([exitCode, await stored(), await world.ports.scheduler.list()]).toEqual([0, undefined, []]);
  });

  it.each(["no\n", "delet", "DELETE\n", ""])("deletes nothing when %j was typed", async (input) => {
    await register();
    const { exitCode } = await valkeepOn(world, line, { input });
    expect([exitCode, (await stored())?.name]).toEqual([3, "instances/orders"]);
  });

  it("asks nothing about an instance that is not there", async () => {
    const { exitCode, stderr } = await valkeepOn(world, line);
    expect([exitCode, stderr]).toEqual([3, "there is no instances/orders (NOT_FOUND)\n"]);
  });

  it("refuses a protected instance and says how to end that", async () => {
    await register({ deletionProtectionEnabled: true });
    const { exitCode, stderr } = await valkeepOn(world, `${line} --confirm=delete`);
    expect(exitCode).toBe(3);
    expect(stderr).toContain("--no-deletion-protection-enabled");
  });

  it("refuses while a backup is being taken", async () => {
    await register();
    const creating = await live("backup-1");
    const path = collectionName("orders");
    await world.ports.store.commit([{ kind: "create", path, data: { name: path, creating } }]);
    const { exitCode, stderr } = await valkeep(`${line} --confirm=delete`, world);
    expect(exitCode).toBe(3);
    expect(stderr).toContain("is being backed up by operations/backup-1");
  });

  it("leaves the backups", async () => {
    await register();
    world.valkey.start(endpoint);
    await valkeepOn(world, "backups create orders --backup-id=last");
    await valkeepOn(world, `${line} --confirm=delete`);
    const { exitCode, stdout } = await valkeepOn(world, "backups list orders --json");
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([{ name: "backupCollections/orders/backups/last", state: "ACTIVE" }]);
  });
});

describe("instances delete --final-backup-id", () => {
  const line = "instances delete orders --final-backup-id=last";

  it("takes the backup, forgets the instance and prints the backup", async () => {
    await register();
    world.valkey.start(endpoint);
    const { exitCode, stdout } = await valkeepOn(world, `${line} --final-backup-ttl=30d --json`, { input: "delete\n" });
    expect([exitCode, await stored()]).toEqual([0, undefined]);
    expect(JSON.parse(stdout)).toMatchObject({ state: "ACTIVE", backupType: "FINAL" });
    expect((await valkeepOn(world, "backups list orders")).stdout).toMatch(/orders\/last +ACTIVE +CHECKED +FINAL/);
  });

  it("says what will happen and does nothing without the word", async () => {
    await register();
    const { exitCode, stderr } = await valkeepOn(world, line, { input: "no\n" });
    expect([exitCode, (await stored())?.name]).toEqual([3, "instances/orders"]);
    expect(stderr).toContain(
      "once backupCollections/orders/backups/last is ACTIVE, instances/orders and its schedule go",
    );
  });

  it("exits 1 and leaves the instance where the backup fails", async () => {
    await register();
    const { exitCode } = await valkeepOn(world, `${line} --confirm=delete`);
    expect([exitCode, (await stored())?.name]).toEqual([1, "instances/orders"]);
  });

  it("exits 3 for an instance that is protected", async () => {
    await register({ deletionProtectionEnabled: true });
    const { exitCode, stderr } = await valkeepOn(world, `${line} --confirm=delete`);
    expect([exitCode, (await stored())?.name]).toEqual([3, "instances/orders"]);
    expect(stderr).toContain("--no-deletion-protection-enabled");
  });

  it.each([
    "--final-backup-id=No!",
    "--final-backup-ttl=30d",
    "--final-backup-id=last --final-backup-ttl=1h",
  ])("is used wrongly with %s", async (flags) => {
    await register();
    expect((await valkeepOn(world, `instances delete orders ${flags} --confirm=delete`)).exitCode).toBe(2);
  });
});

describe("instances list and describe", () => {
  it("an empty list is said on standard error and is [] in JSON", async () => {
    expect(await valkeepOn(world, "instances list")).toEqual({ exitCode: 0, stdout: "", stderr: "no instances\n" });
    expect((await valkeepOn(world, "instances list --json")).stdout).toBe("[]\n");
  });

  it("shows a table with aligned columns", async () => {
    await register();
    const { stdout } = await valkeepOn(world, "instances list");
    expect(stdout.split("\n")).toEqual([
      "INSTANCE  ENDPOINT        MODE              LOCATION         BACKUPS             RETENTION",
      "orders    127.0.0.1:7001  CLUSTER_DISABLED  asia-northeast1  daily at 02:00 UTC  35 d",
      "",
    ]);
  });

  it("describes by the id and by the full name", async () => {
    await register();
    const { stdout } = await valkeepOn(world, "instances describe instances/orders --json");
    expect(JSON.parse(stdout)).toEqual(await stored());
  });

  it("refuses to describe what is not there", async () => {
    const { exitCode, stdout } = await valkeepOn(world, "instances describe orders --json");
    expect([exitCode, JSON.parse(stdout)]).toEqual([
      3,
      { error: { code: "NOT_FOUND", message: "there is no instances/orders" } },
    ]);
  });
});

describe("instances describe --health", () => {
  it("has a line for each check, with advice where there is a fault", async () => {
    await register();
    world.valkey.start(endpoint).inspected = { config: { save: "", rdbchecksum: undefined } };
    const { exitCode, stdout } = await valkeepOn(world, "instances describe orders --health");
    expect(exitCode).toBe(0);
    const rows = stdout.split("\n").map((line) => line.split(/ {2,}/));
    expect(rows.find(([kind]) => kind === "loss-window")).toEqual([
      "loss-window",
      "WARNING",
      expect.stringMatching(/a crash loses everything .*\. Turn appendonly on/),
    ]);
    expect(rows.find(([kind]) => kind === "bgsave-failed")?.[1]).toBe("ok");
    expect(rows.find(([kind]) => kind === "rdbchecksum-off")?.[1]).toBe("UNREAD");
  });

  it("ends with 1 where something is critical, in JSON too", async () => {
    await register();
    world.valkey.start(endpoint).inspected = { info: { rdb_last_bgsave_status: "err" } };
    const { exitCode, stdout } = await valkeepOn(world, "instances describe orders --health --json");
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ kind: "bgsave-failed", state: "CRITICAL" }));
  });

  it("of a server that does not answer fails and says so; of an unknown instance it is refused", async () => {
    await register();
    const silent = await valkeepOn(world, "instances describe orders --health");
    expect([silent.exitCode, silent.stderr]).toEqual([1, expect.stringContaining("nobody answers")]);
    expect((await valkeepOn(world, "instances describe nobody --health")).exitCode).toBe(3);
  });
});

describe("instances check", () => {
  it("has a line for each probe of an instance that can be backed up", async () => {
    await register();
    world.valkey.start(endpoint);
    const { exitCode, stdout } = await valkeepOn(world, "instances check orders");
    expect(exitCode).toBe(0);
    expect(stdout.split("\n").map((text) => text.split(/ {2,}/).slice(0, 2).join(" "))).toEqual([
      "endpoint ok",
      "tls ok",
      "password ok",
      "mode ok",
      "snapshot ok",
      "restore note",
      "",
    ]);
  });

  it("breaks the snapshot off at its first bytes", async () => {
    await register();
    world.valkey.start(endpoint);
    let chunks = 0;
    let hasEnded = false;
    const valkey = {
      ...world.valkey,
      async *snapshot() {
        try {
          for (;;) yield Uint8Array.of(++chunks);
        } finally {
          hasEnded = true;
        }
      },
    };
    await valkeep("instances check orders", { ports: { ...world.ports, valkey } });
    expect([chunks, hasEnded]).toEqual([1, true]);
  });

  it("has a scan end after its first keys, however slow its pace is", async () => {
    await register({ snapshotMethod: "SCAN", maxKeysPerSecond: 1 });
    world.valkey.start(endpoint);
    const { scan } = world.valkey;
    const asked: unknown[] = [];
    world.valkey.scan = (instance, task, options, signal) => {
      asked.push([instance.maxKeysPerSecond, options.isTimeUp()]);
      return scan(instance, task, options, signal);
    };
    const { exitCode } = await valkeepOn(world, "instances check orders");
    expect([exitCode, asked]).toEqual([0, [[undefined, true]]]);
  });

  it.each([
    "describe",
    "shardCount",
    "plan",
  ] as const)("says of Ctrl-C in %s no fault of the instance", async (call) => {
    await register();
    world.valkey.start(endpoint);
    const interruption = new AbortController();
    world.valkey[call] = async () => {
      interruption.abort();
      throw interruption.signal.reason;
    };
    const { signal } = interruption;
    const { exitCode, stdout } = await valkeep("instances check orders", { ports: world.ports, signal });
    expect([exitCode, stdout]).toEqual([130, ""]);
  });

  it.each([
    [{ snapshotMethod: "SCAN" as const }, false, "ok", /^by SCAN, as registered, FUZZY: /],
    [{}, false, "ok", /^by replication: /],
    [{}, true, "ok", /^by SCAN, as replication is refused, FUZZY: /],
    [{ snapshotMethod: "REPLICATION" as const }, true, "failed", /keeps PSYNC to itself/],
  ])("says by which method the backup of %j would be taken, replication being refused: %s", async (changes, refuses, state, message) => {
    await register(changes);
    world.valkey.start(endpoint).refusesReplication = refuses;
    const { stdout } = await valkeepOn(world, "instances check orders --json");
    const found = JSON.parse(stdout).find(({ name }: { name: string }) => name === "snapshot");
    expect(found).toEqual({ name: "snapshot", state, message: expect.stringMatching(message) });
  });

  describe("of a cluster", () => {
    const layout = ["0-5460", "5461-10922", "10923-16383"].map((slots, n) => ({
      slots,
      node: `node-${n}`,
      host: `10.0.0.${n % 2}`,
    }));

    /** What it tells of the snapshots, where those of some shards are refused. */
    async function snapshots(refused: readonly number[], shards = layout, changes: Partial<Instance> = {}) {
      await register({ mode: "CLUSTER", ...changes });
      const server = world.valkey.start(endpoint, shards.length);
      Object.assign(server, { layout: shards, answers: { mode: "CLUSTER" } });
      const { snapshot } = world.valkey;
      const busy: number[] = [];
      let most = 0;
      let shared = 0;
      world.valkey.snapshot = async function* (instance, task, signal, onSource) {
        busy.push(task.shard);
        most = Math.max(most, busy.length);
        shared = Math.max(shared, busy.filter((n) => shards[n]?.host === shards[task.shard]?.host).length);
        try {
          await new Promise(setImmediate);
          if (refused.includes(task.shard)) throw new StatusError("PERMISSION_DENIED", "the ACL lacks +psync");
          yield* snapshot(instance, task, signal, onSource);
        } finally {
          busy.splice(busy.indexOf(task.shard), 1);
        }
      };
      const { exitCode, stdout } = await valkeepOn(world, "instances check orders --json");
      const { state, message } = JSON.parse(stdout).find(({ name }: { name: string }) => name === "snapshot");
      return { exitCode, told: `${state} ${message}`, most, shared };
    }

    it("tries every shard", async () => {
      expect(await snapshots([])).toMatchObject({
        exitCode: 0,
        told: "ok by replication: 3 of 3 shards give one; each was broken off at its first bytes",
      });
    });

    it("names the shards that fail", async () => {
      expect(await snapshots([2])).toMatchObject({
        exitCode: 1,
        told: "failed shard 2, slots 10923-16383: the ACL lacks +psync",
      });
    });

    const many = Array.from({ length: 12 }, (_, n) => ({ slots: `${n}-${n}`, node: `n-${n}`, host: `h-${n >> 1}` }));

    it("counts the shards that fail beyond the third", async () => {
      const { told } = await snapshots([1, 3, 5, 7, 9], many);
      expect(told).toMatch(
        /^failed shard 1, .*; shard 3, .*; shard 5, slots 5-5: the ACL lacks \+psync; 2 more shards fail$/,
      );
    });

    it("tries as many at once as a backup would take, and never two on one host", async () => {
      const { most, shared } = await snapshots([], many, { maxParallelShards: 4 });
      expect([most, shared]).toEqual([4, 1]);
    });
  });

  it("takes no snapshot by way of the volume: a BGSAVE that fails has the server refuse writes", async () => {
    await register({ snapshotMethod: "VOLUME", dataDirectory: "/mnt/orders" });
    world.valkey.start(endpoint);
    const snapshot = () => {
      throw new Error("a snapshot was asked for");
    };
    const ports = { ...world.ports, valkey: { ...world.valkey, snapshot } };
    const { stdout } = await valkeep("instances check orders --json", { ports });
    expect(JSON.parse(stdout).find(({ name }: { name: string }) => name === "snapshot")).toEqual({
      name: "snapshot",
      state: "note",
      message: "by BGSAVE; its data directory has to be mounted at /mnt/orders where the function snapshot runs",
    });
  });

  it.each([
    ["UNAVAILABLE", "nobody answers", "endpoint"],
    ["FAILED_PRECONDITION", "h speaks only TLS: set …", "tls"],
    ["UNAUTHENTICATED", "h refuses the password", "password"],
    ["PERMISSION_DENIED", "the ACL lacks info", "acl"],
  ] as const)("%s ends with the failed probe", async (code, message, name) => {
    await register();
    const valkey = { ...world.valkey, describe: () => Promise.reject(new StatusError(code, message)) };
    const ports = { ...world.ports, valkey };
    const { exitCode, stdout } = await valkeep("instances check orders --json", { ports });
    expect([exitCode, JSON.parse(stdout).at(-1)]).toEqual([1, { name, state: "failed", message }]);
  });
});
