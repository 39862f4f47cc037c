import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { startCluster } from "../fixture/cluster.ts";
import { commonFingerprint, fingerprint } from "../fixture/dataset.ts";
import { send } from "./client.ts";
import { calm, diskless, firstAttempt, instanceAt, snapshotOf, sourceOf, valkey } from "./fixture.ts";
import { startTlsValkey } from "./tls-server.ts";

const MB = 1024 * 1024;

describe("a large value", () => {
  const started: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const server of started.splice(0)) await server.stop();
  });

  async function start(args: string[] = []): Promise<ValkeyServer> {
    const server = await startValkey({ version: "8.0", args: [...diskless, "--rdbcompression", "no", ...args] });
    started.push(server);
    return server;
  }

  it("arrives whole at every size around a block of 256 KiB and the 8 MiB that are held", async () => {
    const [source, target] = [await start(), await start()];
    const sizes = [255, 256, 257]
      .map((size) => size * 1024 - 300)
      .concat(256 * 1024 - 12, MB, 8 * MB - 6, 8 * MB - 5, 8 * MB - 4, 8 * MB, 20 * MB);
    for (const size of sizes)
      await send(source.endpoint, ["SET", `s:${size}`, pattern(size), "PXAT", 4_102_444_800_000 + size]);
    await send(
      source.endpoint,
      ["RPUSH", "list", pattern(9 * MB), "small", pattern(3 * MB)],
      ["SET", pattern(300_000), "long key"],
    );
    await send(source.endpoint, ["SET", pattern(400_000), pattern(9 * MB)], ["SET", "after", "1"]);
    const file = await sourceOf(await snapshotOf(source.endpoint));
    await valkey.load(instanceAt(target.endpoint), file, firstAttempt, calm());
    expect(await fingerprint(target.endpoint)).toEqual(await fingerprint(source.endpoint));
  });

  it("passes through both ways over TLS", async () => {
    const source = await start();
    await send(source.endpoint, ["SET", "large", pattern(30 * MB)]);
    const secured = await startTlsValkey(["--enable-debug-command", "yes", "--rdbcompression", "no", ...diskless]);
    started.push(secured);
    const { pem: caCertificate } = secured.certificate;
    const instance = instanceAt(secured.endpoint, { transitEncryptionMode: "SERVER_AUTHENTICATION", caCertificate });
    await valkey.load(instance, await sourceOf(await snapshotOf(source.endpoint)), firstAttempt, calm());
    let bytes = 0;
    for await (const chunk of valkey.snapshot(instance, { shard: 0 }, calm())) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(30 * MB);
  });

  it("is refused before anything is written if the target takes none of its size", async () => {
    const [source, target] = [await start(), await start(["--proto-max-bulk-len", "1mb"])];
    await send(source.endpoint, ["SET", "first", "1"], ["SET", "large", pattern(2 * MB)]);
    const loading = valkey.load(
      instanceAt(target.endpoint),
      await sourceOf(await snapshotOf(source.endpoint)),
      firstAttempt,
      calm(),
    );
    await expect(loading).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("takes values of 1048576 bytes at most"),
    });
    expect(await send(target.endpoint, ["DBSIZE"])).toBe(0);
  });

  it("is not written in part when the second read of it comes short", async () => {
    const [source, target] = [await start(), await start()];
    await send(source.endpoint, ["SET", "large", pattern(9 * MB)]);
    const file = await sourceOf(await snapshotOf(source.endpoint));
    const short = {
      ...file,
      read: ({ start, end }: { start: number; end?: number }) =>
        file.read(end === undefined ? { start } : { start, end: end - 1 }, calm()),
    };
    await expect(valkey.load(instanceAt(target.endpoint), short, firstAttempt, calm())).rejects.toMatchObject({
      code: "UNAVAILABLE",
    });
    expect(await send(target.endpoint, ["DBSIZE"])).toBe(0);
  });

  it("of 300 MB takes a function less than 100 MB of memory to take out and to bring in", async () => {
    const [source, target] = [await start(), await start()];
    await send(source.endpoint, ["SETRANGE", "large", 300 * MB - 1, "x"], ["SET", "small", "1"]);
    expect(await carried(source.endpoint, target.endpoint)).toEqual({ keys: 2, growthMb: below(100) });
    expect(await send(target.endpoint, ["STRLEN", "large"])).toBe(300 * MB);
  });

  it("takes no more memory where several of them go to the shards of a cluster at once", async () => {
    const source = await start();
    await using cluster = await startCluster({ version: "8.0", shards: 3 });
    await send(source.endpoint, ["SETRANGE", "large", 300 * MB - 1, "x"]);
    for (let n = 0; n < 6; n++) await send(source.endpoint, ["SETRANGE", `middle:${n}`, 64 * MB - 1, "x"]);
    for (let n = 0; n < 40; n++) await send(source.endpoint, ["SET", `held:${n}`, pattern(7 * MB)]);
    expect(await carried(source.endpoint, cluster.endpoint, "CLUSTER")).toEqual({ keys: 47, growthMb: below(140) });
    const all = cluster.shards.map(({ primary }) => primary.endpoint);
    const found = await commonFingerprint(all);
    expect(found).toEqual(await commonFingerprint([source.endpoint]));
  });
});

const below = (limit: number) => expect.toSatisfy((found: number) => found < limit);

/** What a process tells of itself that has carried one server's data to another. */
async function carried(...args: string[]): Promise<unknown> {
  const [source = "", target = "", ...mode] = args;
  const file = join(tmpdir(), `valkeep-large-${process.pid}.rdb`);
  const program = spawn(process.execPath, [join(import.meta.dirname, "carry.ts"), source, target, file, ...mode]);
  let output = "";
  program.stdout.on("data", (data: Buffer) => {
    output += data;
  });
  program.stderr.pipe(process.stderr);
  try {
    await once(program, "close");
    return JSON.parse(output);
  } finally {
    await rm(file, { force: true });
  }
}

/** Bytes that neither repeat within a block nor at its borders. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE(Math.imul(at + length, 2_654_435_761) >>> 0, at);
  return bytes;
}
