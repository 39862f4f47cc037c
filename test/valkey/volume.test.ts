import { execFileSync } from "node:child_process";
import { chmod, chown, copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyOptions, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Instance } from "../../shared/backup/backup.ts";
import type { ShardSource } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { check } from "../../shared/rdb/check.ts";
import { createValkey } from "../../shared/valkey/index.ts";
import { fillEverything } from "../fixture/dataset.ts";
import { send } from "./client.ts";
import { calm, instanceAt, signal } from "./fixture.ts";

/** A mount that shows at once what was saved. */
const valkey = createValkey({ resolveSecret: async (reference) => reference.replace(/^secret:/, ""), settlingMs: 300 });

const isRoot = process.getuid?.() === 0;
/** Root may write anywhere, and fork as often as it likes: what is refused to a server needs another user. */
const nobody = isRoot ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];

const closing: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(options: ValkeyOptions = {}): Promise<ValkeyServer> {
  const server = await startValkey({ version: "8.0", ...options });
  closing.push(() => server.kill());
  return server;
}

/** A server of another user than root; where the programs lie in a folder of root's alone, there is none. */
async function startAsNobody(directory: string, skip: (reason: string) => never): Promise<ValkeyServer> {
  return await start({ directory, by: nobody }).catch((error: Error) => skip(error.message));
}

/** A directory that a server of user `nobody` may write to. */
async function folder(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-volume-"));
  closing.push(() => rm(directory, { recursive: true, force: true }));
  if (isRoot) await chown(directory, 65_534, 65_534);
  await chmod(directory, 0o755);
  return directory;
}

const volumeOf = (server: ValkeyServer, changes: Partial<Instance> = {}): Instance =>
  instanceAt(server.endpoint, { snapshotMethod: "VOLUME", dataDirectory: server.directory, ...changes });

const take = (instance: Instance) => collect(valkey.snapshot(instance, { shard: 0 }, calm()));

/** Keys that BGSAVE takes a while to write, so that something can happen meanwhile. */
const slowly = (microseconds: number): string[] => ["CONFIG", "SET", "rdb-key-save-delay", `${microseconds}`];

const savesOf = async ({ endpoint }: ValkeyServer) =>
  Number(/^rdb_saves:(\d+)/m.exec(String(await send(endpoint, ["INFO", "persistence"])))?.[1]);

describe("a snapshot by way of the volume", () => {
  it.each(["redis-7.0", "8.0", "9.1"] as const)("is a whole file with every key, of %s", async (version) => {
    const server = await start({ version });
    await fillEverything(server.endpoint);
    const found = await check([await take(volumeOf(server))]);
    expect(found).toMatchObject({ crc64: "ok", keys: 1_920, expires: 618, functions: 2 });
  });

  it("holds what was written a moment before, in one second with the save before", async () => {
    const server = await start();
    for (let keys = 1; keys <= 4; keys++) {
      await send(server.endpoint, ["SET", `key:${keys}`, "v"]);
      expect(await check([await take(volumeOf(server))])).toMatchObject({ keys });
    }
    expect(await savesOf(server)).toBe(4);
  });

  it("tells of whom it is taken, and what place in its history it shows", async () => {
    const primary = await start();
    const replica = await start({ args: ["--replicaof", "127.0.0.1", `${primary.port}`] });
    const up = async () => String(await send(replica.endpoint, ["INFO", "replication"]));
    await expect.poll(up).toContain("master_link_status:up");
    await send(primary.endpoint, ["SET", "key", "v"]);
    const sources: ShardSource[] = [];
    for (const server of [primary, replica])
      await collect(valkey.snapshot(volumeOf(server), { shard: 0 }, calm(), (source) => sources.push(source)));
    const [ofPrimary, ofReplica] = sources;
    expect(ofPrimary).toMatchObject({ sourceRole: "PRIMARY", replicationOffset: expect.any(Number) });
    expect(ofReplica).toMatchObject({ sourceRole: "REPLICA", replicationId: ofPrimary?.replicationId });
  });

  it("finds the file under the name that the server gives it", async () => {
    const server = await start({ args: ["--dbfilename", "orders.rdb"] });
    await send(server.endpoint, ["SET", "key", "v"]);
    expect(await check([await take(volumeOf(server))])).toMatchObject({ keys: 1 });
  });

  it("waits for a save that is under way, and takes one of its own", async () => {
    const server = await start();
    await send(server.endpoint, ["DEBUG", "POPULATE", 1_000], slowly(500), ["BGSAVE"], ["SET", "after", "it began"]);
    expect(await check([await take(volumeOf(server))])).toMatchObject({ keys: 1_001 });
    expect(await savesOf(server)).toBe(2);
  });

  it("waits for a rewrite of the AOF, and then takes its own", async () => {
    const server = await start({ args: ["--appendonly", "yes"] });
    await send(server.endpoint, ["DEBUG", "POPULATE", 1_000], slowly(1_000), ["BGREWRITEAOF"]);
    const state = String(await send(server.endpoint, ["INFO", "persistence"]));
    expect(state).toContain("aof_rewrite_in_progress:1");
    expect(await check([await take(volumeOf(server))])).toMatchObject({ keys: 1_000 });
  });

  it("that takes longer than an attempt has is UNAVAILABLE, and the next attempt takes the same one", async () => {
    const server = await start();
    await send(server.endpoint, ["DEBUG", "POPULATE", 1_000], slowly(2_000));
    const impatient = createValkey({ resolveSecret: async () => "", patienceMs: 500 });
    const asked = performance.now();
    const task = () => ({ shard: 0, askedSecondsAgo: 5 + (performance.now() - asked) / 1_000 });
    await expect(collect(impatient.snapshot(volumeOf(server), task(), calm()))).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("is still saving after 0.5 s"),
    });
    expect(await check([await collect(valkey.snapshot(volumeOf(server), task(), calm()))])).toMatchObject({
      keys: 1_000,
    });
    // And once more, when nobody saw it end.
    expect(await check([await collect(valkey.snapshot(volumeOf(server), task(), calm()))])).toMatchObject({
      keys: 1_000,
    });
    expect(await savesOf(server)).toBe(1);
  });

  it("is not one that began before the backup was asked for", async () => {
    const server = await start();
    await send(server.endpoint, ["SET", "old", "v"], ["SAVE"]);
    await sleep(1_100);
    await send(server.endpoint, ["SET", "new", "v"]);
    const file = await collect(valkey.snapshot(volumeOf(server), { shard: 0, askedSecondsAgo: 0 }, calm()));
    expect(await check([file])).toMatchObject({ keys: 2 });
    await send(server.endpoint, ["DEBUG", "POPULATE", 1_000], slowly(1_000), ["BGSAVE"], ["SET", "newer", "v"]);
    const newer = await collect(valkey.snapshot(volumeOf(server), { shard: 0, askedSecondsAgo: 0 }, calm()));
    expect(await check([newer])).toMatchObject({ keys: 1_003 });
  });

  it("is not torn by a save that puts another file in its place meanwhile", async () => {
    const server = await start();
    await send(server.endpoint, ["CONFIG", "SET", "rdbcompression", "no"], ["DEBUG", "POPULATE", 3_000, "key", 1_000]);
    const chunks: Buffer[] = [];
    for await (const chunk of valkey.snapshot(volumeOf(server), { shard: 0 }, calm())) {
      chunks.push(Buffer.from(chunk));
      if (chunks.length === 1) await send(server.endpoint, ["FLUSHALL"], ["SAVE"]);
    }
    expect(chunks.length).toBeGreaterThan(2);
    expect(await check(chunks)).toMatchObject({ crc64: "ok", keys: 3_000 });
  });

  it("ends at once, with the signal's reason, as its file is read", async () => {
    const server = await start();
    await send(server.endpoint, ["CONFIG", "SET", "rdbcompression", "no"], ["DEBUG", "POPULATE", 5_000, "key", 1_000]);
    const controller = new AbortController();
    let pieces = 0;
    const reading = (async () => {
      for await (const _ of valkey.snapshot(volumeOf(server), { shard: 0 }, controller.signal)) {
        pieces++;
        controller.abort("enough");
      }
    })();
    await expect(reading).rejects.toBe("enough");
    expect(pieces).toBe(1);
  });

  it("ends at once, with the signal's reason, while the save goes on", async () => {
    const server = await start();
    await send(server.endpoint, ["DEBUG", "POPULATE", 1_000], slowly(2_000));
    const controller = new AbortController();
    setTimeout(() => controller.abort("enough"), 200);
    const taken = collect(valkey.snapshot(volumeOf(server), { shard: 0 }, controller.signal));
    await expect(taken).rejects.toBe("enough");
  });

  it("is UNAVAILABLE when the server dies as it saves", async () => {
    const server = await start();
    await send(server.endpoint, ["DEBUG", "POPULATE", 1_000], slowly(2_000));
    setTimeout(() => signal(server, "SIGKILL"), 200);
    await expect(take(volumeOf(server))).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("needs no more of an ACL than the error tells to grant", async () => {
    const server = await start();
    const user = ["ACL", "SETUSER", "backup", "reset", "on", ">x"];
    const instance = volumeOf(server, { authUser: "backup", authSecret: "secret:x" });
    await send(server.endpoint, ["SET", "key", "v"], [...user, "+ping", "+info"]);
    await expect(take(instance)).rejects.toMatchObject({
      code: "PERMISSION_DENIED",
      message: expect.stringContaining("ACL SETUSER backup +ping +info +bgsave +config|get"),
    });
    await send(server.endpoint, [...user, "+ping", "+info", "+bgsave"]);
    expect(await check([await take(instance)])).toMatchObject({ keys: 1 });
  });
});

describe("no snapshot by way of the volume, and nothing is asked of the server,", () => {
  async function refused(instance: Instance, server: ValkeyServer, code: string, message: RegExp) {
    await expect(take(instance)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(await savesOf(server)).toBe(0);
  }

  it("where the directory is not mounted", async () => {
    const server = await start();
    const instance = volumeOf(server, { dataDirectory: "/mnt/nothing-here" });
    await refused(instance, server, "FAILED_PRECONDITION", /\/mnt\/nothing-here is not there: mount/);
  });

  it("where a file is in the directory's place", async () => {
    const server = await start();
    const dataDirectory = join(server.directory, "file");
    await writeFile(dataDirectory, "");
    await refused(volumeOf(server, { dataDirectory }), server, "FAILED_PRECONDITION", /is no directory/);
  });

  it("where a directory is in the file's place", async () => {
    const server = await start();
    await mkdir(join(server.directory, "dump.rdb"));
    await refused(
      volumeOf(server),
      server,
      "FAILED_PRECONDITION",
      /a directory, or something else that is no file, is in the place of \/.*dump.rdb/,
    );
  });

  it("where a pipe is in the file's place, into which nobody writes", async () => {
    const server = await start();
    execFileSync("mkfifo", [join(server.directory, "dump.rdb")]);
    await refused(
      volumeOf(server),
      server,
      "FAILED_PRECONDITION",
      /something else that is no file, is in the place of/,
    );
  });

  it("where its file, or its directory, may not be read", async () => {
    const directory = await folder();
    const server = await start({ directory });
    await send(server.endpoint, ["SET", "key", "v"], ["SAVE"], ["CONFIG", "RESETSTAT"]);
    await chmod(join(directory, "dump.rdb"), 0);
    await asNobody(() => refused(volumeOf(server), server, "FAILED_PRECONDITION", /dump.rdb may not be read: grant/));
    await chmod(directory, 0);
    await asNobody(() => refused(volumeOf(server), server, "FAILED_PRECONDITION", /may not be (looked into|read)/));
    await chmod(directory, 0o755);
  });

  it("where the disk has less room than the file that is there takes", async ({ skip }) => {
    const directory = await smallDisk(4).catch((error) => skip(String(error)));
    if (directory === undefined) return;
    const server = await start({ directory, args: ["--rdbcompression", "no"] });
    await send(server.endpoint, ["DEBUG", "POPULATE", 2_500, "key", 1_000], ["SAVE"], ["CONFIG", "RESETSTAT"]);
    await expect(take(volumeOf(server))).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      message: expect.stringMatching(/has \d+ bytes free, a file of .* takes about 2\d{6} .* no BGSAVE was asked for/),
    });
    expect(String(await send(server.endpoint, ["INFO"]))).toContain("rdb_last_bgsave_status:ok");
  });

  it("of a cluster", async () => {
    const instance = instanceAt("127.0.0.1:1", { mode: "CLUSTER", snapshotMethod: "VOLUME", dataDirectory: "/tmp" });
    await expect(take(instance)).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
    const node = await start({ args: ["--cluster-enabled", "yes"] });
    await refused(volumeOf(node), node, "FAILED_PRECONDITION", /runs as CLUSTER/);
  });

  it("of a shard that there is not", async () => {
    const server = await start();
    await expect(collect(valkey.snapshot(volumeOf(server), { shard: 1 }, calm()))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("no shard 1"),
    });
  });

  it("of a replica that has lost its primary", async () => {
    const replica = await start({ args: ["--replicaof", "127.0.0.1 1"] });
    await refused(volumeOf(replica), replica, "UNAVAILABLE", /has lost its primary/);
  });

  it("where BGSAVE was renamed", async () => {
    const server = await start({ args: ["--rename-command", "BGSAVE", ""] });
    await refused(volumeOf(server), server, "FAILED_PRECONDITION", /has no BGSAVE.*choose another --snapshot-method/);
  });
});

describe("a BGSAVE that fails is told", () => {
  async function failing(server: ValkeyServer, code: string, message: RegExp, changes: Partial<Instance> = {}) {
    await expect(take(volumeOf(server, changes))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  }

  it("by a full disk", async ({ skip }) => {
    const directory = await smallDisk(2).catch((error) => skip(String(error)));
    if (directory === undefined) return;
    const server = await start({ directory, args: ["--rdbcompression", "no"] });
    await send(server.endpoint, ["DEBUG", "POPULATE", 3_000, "key", 1_000]);
    await failing(server, "RESOURCE_EXHAUSTED", /disk is most likely full, .* has \d+ bytes free.*make room.*MISCONF/);
  });

  it("by a directory that its user may not write to", async ({ skip }) => {
    const directory = await folder();
    const server = await startAsNobody(directory, skip);
    await send(server.endpoint, ["SET", "key", "v"], ["SAVE"]);
    closing.push(() => chmod(directory, 0o755));
    await chmod(directory, 0o555);
    await failing(server, "FAILED_PRECONDITION", /the server's user may not write in .*: chown or chmod it/);
  });

  it("by a file system that became read-only", async ({ skip }) => {
    const directory = await smallDisk(20).catch((error) => skip(String(error)));
    if (directory === undefined) return;
    const server = await start({ directory });
    await send(server.endpoint, ["SET", "key", "v"], ["SAVE"]);
    execFileSync("mount", ["-o", "remount,ro", directory]);
    await failing(server, "FAILED_PRECONDITION", /file system of .* is read-only/);
  });

  it("by a disk that has room, but for no more files", async ({ skip }) => {
    const directory = await smallDisk(20, "nr_inodes=2").catch((error) => skip(String(error)));
    if (directory === undefined) return;
    const server = await start({ directory });
    await send(server.endpoint, ["SET", "key", "v"], ["SAVE"]);
    await failing(server, "RESOURCE_EXHAUSTED", /has no inode left: remove files there/);
  });

  it("by a limit that kills it", async () => {
    const server = await start();
    await send(server.endpoint, ["DEBUG", "POPULATE", 10_000]);
    execFileSync("prlimit", ["--pid", `${server.pid}`, "--fsize=10000"]);
    await failing(server, "UNAVAILABLE", /most likely it was killed as it saved .*see the server's log/);
  });

  it("by a fork that was refused", async ({ skip }) => {
    const server = await startAsNobody(await folder(), skip);
    await send(server.endpoint, ["SET", "key", "v"]);
    const [program = "", ...args] = [...nobody, "prlimit", "--pid", `${server.pid}`, "--nproc=1"];
    execFileSync(program, args);
    await failing(
      server,
      "UNAVAILABLE",
      /refused 127.0.0.1:\d+ the fork for its BGSAVE: set vm.overcommit_memory to 1/,
    );
    expect(String(await send(server.endpoint, ["INFO"]))).toContain("rdb_last_bgsave_status:err");
  });
});

describe("a directory that is not the server's is found out", () => {
  it("when nothing changes in it", async () => {
    const [server, other] = [await start(), await start()];
    await send(other.endpoint, ["SET", "key", "v"], ["SAVE"]);
    await expect(take(volumeOf(server, { dataDirectory: other.directory }))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(
        /has saved, but dump.rdb in .* is not of that save: mount its directory \/.* there/,
      ),
    });
  });

  it("when a file comes to be there that is older than the save", async () => {
    const server = await start();
    const dataDirectory = await folder();
    const old = join(import.meta.dirname, "../fixture/rdb/valkey-8.0.rdb");
    await send(server.endpoint, ["DEBUG", "POPULATE", 500], slowly(1_000));
    const put = setTimeout(() => void copyFile(old, join(dataDirectory, "dump.rdb")), 100);
    closing.push(() => clearTimeout(put));
    await expect(take(volumeOf(server, { dataDirectory }))).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  it.each([
    ["there from the start", 0],
    ["put there meanwhile", 100],
  ])("when a file of something else has the name, %s", async (_when, milliseconds) => {
    const server = await start();
    const dataDirectory = await folder();
    await send(server.endpoint, ["DEBUG", "POPULATE", 500], slowly(1_000));
    const put = () => writeFile(join(dataDirectory, "dump.rdb"), "no RDB file at all, but one of some length");
    const timer = milliseconds === 0 ? await put() : setTimeout(() => void put(), milliseconds);
    closing.push(() => clearTimeout(timer ?? undefined));
    await expect(take(volumeOf(server, { dataDirectory }))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("is not of that save"),
    });
  });

  it("when it is empty, where the server does not tell its own", async () => {
    const server = await start();
    await send(server.endpoint, ["ACL", "SETUSER", "backup", "reset", "on", ">x", "+ping", "+info", "+bgsave"]);
    const changes = { authUser: "backup", authSecret: "secret:x", dataDirectory: await folder() };
    await expect(take(volumeOf(server, changes))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("mount its data directory (CONFIG GET dir) there"),
    });
  });

  it.each([
    ["by the history that its file belongs to", true],
    ["by its file that tells no history", false],
  ])("when another server saves there in the same moment, %s", async (_how, hasReplica) => {
    const [server, other] = [await start(), await start()];
    for (const primary of hasReplica ? [server, other] : [server]) {
      const replica = await start({ args: ["--replicaof", "127.0.0.1", `${primary.port}`] });
      const up = async () => String(await send(replica.endpoint, ["INFO", "replication"]));
      await expect.poll(up).toContain("master_link_status:up");
    }
    let isOver = false;
    const saving = (async () => {
      for (; !isOver; await sleep(20)) await send(other.endpoint, ["SAVE"]).catch(() => undefined); // its replica's snapshot may not be over
    })();
    const taken = take(volumeOf(server, { dataDirectory: other.directory })).finally(() => {
      isOver = true;
    });
    await expect(taken).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    await saving;
  });
});

/** Root may read everything: what is refused to us needs another user. */
async function asNobody(act: () => Promise<void>): Promise<void> {
  if (!isRoot) return await act();
  process.seteuid?.(65_534);
  try {
    await act();
  } finally {
    process.seteuid?.(0);
  }
}

/** A disk of so many megabytes, which only root can make, and not everywhere. */
async function smallDisk(megabytes: number, ...options: string[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", [`size=${megabytes}m`, ...options].join(), "tmpfs", directory], {
    stdio: "pipe",
  });
  closing.push(async () => {
    execFileSync("umount", [directory]);
    await rm(directory, { recursive: true });
  });
  return directory;
}
