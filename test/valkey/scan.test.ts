import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Valkey } from "iovalkey";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { findValkey } from "../../infra/local/valkey-programs.ts";
import { startValkey, type ValkeyRelease, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { ReplicationRefused, StatusError } from "../../shared/error.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { check } from "../../shared/rdb/check.ts";
import { addressOf } from "../../shared/valkey/address.ts";
import { askState, type NodeState } from "../../shared/valkey/cluster/node-state.ts";
import { shardScan } from "../../shared/valkey/snapshot/shard-scan.ts";
import { fillEverything, fingerprint } from "../fixture/dataset.ts";
import { send } from "./client.ts";
import { calm, valkey } from "./fixture.ts";
import { asManaged, managedUser, recordsOf, scanInPieces, scanOf } from "./scanned.ts";

const farFuture = 4_102_444_800_000;
const started: { stop(): Promise<void> }[] = [];
const folders: string[] = [];

afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function start(version: ValkeyRelease, args: string[] = []): Promise<ValkeyServer> {
  const server = await startValkey({ version, args });
  started.push(server);
  await send(server.endpoint, managedUser);
  return server;
}

/** A server of the same release, started with the file as its own. */
async function startWith(version: ValkeyRelease, file: Uint8Array): Promise<ValkeyServer> {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-scan-"));
  folders.push(directory);
  await writeFile(join(directory, "dump.rdb"), file);
  const { checkRdb, env } = await findValkey({ version });
  const [program = "", ...args] = checkRdb;
  const options = { env: { ...process.env, ...env } };
  const { stdout } = await promisify(execFile)(program, [...args, join(directory, "dump.rdb")], options);
  expect(stdout).toContain("RDB looks OK");
  const server = await startValkey({ version, directory });
  started.push(server);
  return server;
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe.each(["8.0", "8.1", "9.1", "redis-7.0"] as const)("a scan of %s", (version) => {
  it("is a file that a server of the same release starts with, and holds the same then", async () => {
    const server = await start(version);
    await fillEverything(server.endpoint);
    const original = await fingerprint(server.endpoint);
    const file = await scanOf(asManaged(server.endpoint));
    expect(await check([file])).toMatchObject({ crc64: "ok", keys: 1_920, expires: 618, functions: 2 });
    const copy = await startWith(version, file);
    expect(await fingerprint(copy.endpoint)).toEqual(original);
  });

  it("holds every key that exists throughout once, while others come and go and the tables grow and shrink", {
    timeout: 180_000,
  }, async () => {
    const server = await start(version);
    const writer = new Writer(server.endpoint);
    await writer.fill();
    const writing = writer.run();
    const pieces = await scanInPieces(asManaged(server.endpoint, { maxKeysPerSecond: 20_000 }), 8).finally(() =>
      writer.stop(),
    );
    await writing;
    expect(pieces.length).toBeGreaterThan(1);
    expect(writer.rounds).toBeGreaterThan(1);
    const file = Buffer.concat(pieces);
    const found = await recordsOf(file);
    for (const n of numbers(stableKeys)) {
      const record = found.get(`0/stable:${n}`);
      expect(record?.expireTimeMs).toBe(n % 3 === 0 ? farFuture + n : -1);
      expect(plain(record?.value)).toBe(`value ${n}`);
    }
    for (const n of numbers(pairedKeys)) {
      const record = found.get(`0/pair:${n}`);
      expect(record?.expireTimeMs).toBe(farFuture + Number(plain(record?.value).slice(1)));
    }
    await startWith(version, file);
  });
});

const stableKeys = 12_000;
const pairedKeys = 500;

/** A value as the file holds it, where it is short text. */
function plain(value: Uint8Array | undefined): string {
  return Buffer.from(value ?? [])
    .subarray(1)
    .toString();
}

/** Somebody who works on the server all the while. */
class Writer {
  rounds = 0;
  readonly #client: Valkey;
  #isOver = false;

  constructor(endpoint: string) {
    const [host = "", port] = endpoint.split(":");
    this.#client = new Valkey({ host, port: Number(port), retryStrategy: () => null });
    // What goes wrong is thrown by the command that meets it.
    this.#client.on("error", () => undefined);
  }

  async fill(): Promise<void> {
    const pipeline = this.#client.pipeline();
    for (const n of numbers(stableKeys))
      if (n % 3 === 0) pipeline.set(`stable:${n}`, `value ${n}`, "PXAT", farFuture + n);
      else pipeline.set(`stable:${n}`, `value ${n}`);
    for (const n of numbers(pairedKeys)) pipeline.set(`pair:${n}`, "v0", "PXAT", farFuture);
    await pipeline.exec();
  }

  /** Keys whose value and expiry change together, keys that come and expire, and enough of both to make tables grow and shrink. */
  async run(): Promise<void> {
    while (!this.#isOver) {
      this.rounds++;
      const pipeline = this.#client.pipeline();
      for (const n of numbers(pairedKeys))
        pipeline.set(`pair:${n}`, `v${this.rounds}`, "PXAT", farFuture + this.rounds);
      for (const n of numbers(200)) pipeline.set(`soon:${this.rounds}:${n}`, "x", "PX", 1 + n);
      for (const n of numbers(200)) pipeline.hset(`overwritten:${n}`, "round", this.rounds).del(`overwritten:${n}`);
      await pipeline.exec();
      const script = `for n = 1, 60000 do redis.call(ARGV[1], "mass:" .. n, ARGV[2]) end`;
      if (this.rounds % 4 === 1) await this.#client.eval(script, 0, "SET", "x");
      if (this.rounds % 4 === 3) await this.#client.eval(script, 0, "DEL", "-");
    }
    this.#client.disconnect();
  }

  stop(): void {
    this.#isOver = true;
  }
}

describe("a scan", () => {
  let server: ValkeyServer;
  beforeAll(async () => {
    server = await startValkey({ version: "8.0" });
    await send(server.endpoint, managedUser);
    await send(server.endpoint, ["DEBUG", "POPULATE", 20_000, "key", 100]);
  });
  afterAll(() => server?.stop());

  it("is what is left where replication is refused", async () => {
    const refused = collect(valkey.snapshot(asManaged(server.endpoint), { shard: 0 }, calm()));
    await expect(refused).rejects.toBeInstanceOf(ReplicationRefused);
  });

  it("needs no more of an ACL than its error tells to grant", async () => {
    await send(server.endpoint, ["ACL", "SETUSER", "backup", "on", ">x", "-@all", "+ping", "+info"]);
    const instance = asManaged(server.endpoint, { authUser: "backup" });
    const refusal = await scanOf(instance).catch((error: Error) => error.message);
    const grants = /SETUSER backup (.*?) \(/.exec(String(refusal))?.[1] ?? "";
    await send(server.endpoint, ["ACL", "SETUSER", "backup", ...grants.split(" ")]);
    expect(await check([await scanOf(instance)])).toMatchObject({ keys: 20_000 });
  });

  it("reads no more keys in a second than it may", async () => {
    const begin = performance.now();
    await scanOf(asManaged(server.endpoint, { maxKeysPerSecond: 10_000 }));
    expect(performance.now() - begin).toBeGreaterThan(1_900);
  });

  it("asks to begin anew where it should go on in a process that is not there any more", async () => {
    const options = {
      from: {
        ...{ endpoint: server.endpoint, runId: "another", rdbVersion: 11, database: 0, cursor: "8" },
        ...{ offset: 100, crc64: "0", recent: { offset: 100, horizon: "0" } },
      },
      isTimeUp: () => false,
      onEnd: () => undefined,
    };
    const stream = collect(valkey.scan(asManaged(server.endpoint), { shard: 0 }, options, calm()));
    await expect(stream).rejects.toMatchObject({ code: "ABORTED" });
  });

  it("of a replica that has lost its primary is UNAVAILABLE: what it holds may be long past", async () => {
    const replica = await start("8.0", ["--replicaof", "127.0.0.1 1"]);
    await expect(scanOf(asManaged(replica.endpoint))).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("is a replica that has lost its primary"),
    });
  });

  it("takes the next node where the first one is not fit, or is gone", async () => {
    const found = await askState(await addressOf(asManaged(server.endpoint), async () => "x"), calm());
    const behind = { ...found, node: "behind" };
    const gone = { ...found, node: "gone", address: { ...found.address, port: 1 } };
    const options = { isTimeUp: () => false, onEnd: () => undefined };
    const prepare = async ({ node }: NodeState) => {
      if (node === "behind") throw new StatusError("UNAVAILABLE", "it is behind its primary");
    };
    const read: string[] = [];
    const sources = { nodes: [behind, gone, found], prepare, confirm: async () => undefined };
    const stream = shardScan(sources, options, calm(), {}, ({ node = "" }) => read.push(node));
    expect(await check([await collect(stream)])).toMatchObject({ keys: 20_000 });
    expect(read).toEqual([found.node]);
  });

  it("of an empty server is a file without keys", async () => {
    const empty = await start("8.0");
    expect(await check([await scanOf(asManaged(empty.endpoint))])).toMatchObject({ crc64: "ok", keys: 0 });
  });

  it("is UNAVAILABLE when the server is killed in the middle", async () => {
    const mortal = await start("8.0");
    await send(mortal.endpoint, ["DEBUG", "POPULATE", 200_000, "key", 100]);
    const stream = valkey.scan(
      asManaged(mortal.endpoint),
      { shard: 0 },
      { isTimeUp: () => false, onEnd: () => undefined },
      calm(),
    );
    const reading = (async () => {
      for await (const _ of stream) await mortal.kill();
    })();
    await expect(reading).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("ends at once, with the signal's reason, when it is aborted", async () => {
    const controller = new AbortController();
    const instance = asManaged(server.endpoint, { maxKeysPerSecond: 100 });
    setTimeout(() => controller.abort("enough"), 300);
    const options = { isTimeUp: () => false, onEnd: () => undefined };
    await expect(collect(valkey.scan(instance, { shard: 0 }, options, controller.signal))).rejects.toBe("enough");
  });

  it("leaves no connection behind when its consumer leaves early", async () => {
    const options = { isTimeUp: () => false, onEnd: () => undefined };
    for await (const _ of valkey.scan(asManaged(server.endpoint), { shard: 0 }, options, calm())) break;
    const others = async () => String(await send(server.endpoint, ["CLIENT", "LIST"])).split("user=app").length - 1;
    await expect.poll(others).toBe(0);
  });

  it("streams a value of 300 MB through", async () => {
    const large = await start("8.0", ["--rdbcompression", "no"]);
    await send(large.endpoint, ["SETRANGE", "large", 300e6 - 1, "x"], ["SET", "small", "y"]);
    let longest = 0;
    async function* measured(): AsyncGenerator<Uint8Array> {
      const options = { isTimeUp: () => false, onEnd: () => undefined };
      for await (const piece of valkey.scan(asManaged(large.endpoint), { shard: 0 }, options, calm())) {
        longest = Math.max(longest, piece.length);
        yield piece;
      }
    }
    expect(await check(measured())).toMatchObject({ crc64: "ok", keys: 2, largestRecordBytes: 300_000_006 });
    expect(longest).toBeLessThan(2e6);
  });
});
