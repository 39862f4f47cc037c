import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../infra/local/port.ts";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { check } from "../../shared/rdb/check.ts";
import { createValkey } from "../../shared/valkey/index.ts";
import { fillEverything } from "../fixture/dataset.ts";
import { send } from "./client.ts";
import { calm, diskless, instanceAt, signal, snapshotOf, valkey } from "./fixture.ts";
import { startTlsValkey } from "./tls-server.ts";

const toDisk = ["--repl-diskless-sync", "no"];
const whole = { crc64: "ok", keys: 1_920, expires: 618, functions: 2 };

describe.each([
  ["straight from memory", diskless],
  ["by way of the server's disk", toDisk],
])("a snapshot %s", (_way, args) => {
  let source: ValkeyServer;
  beforeAll(async () => {
    source = await startValkey({ version: "8.0", args });
    await fillEverything(source.endpoint);
  });
  afterAll(() => source?.stop());

  it("is a whole file with every key", async () => {
    expect(await check([await snapshotOf(source.endpoint)])).toMatchObject(whole);
  });

  it("leaves no connection behind", async () => {
    await snapshotOf(source.endpoint);
    await expect.poll(() => clientsOf(source)).toBe(1);
  });

  it("closes its connection when the consumer leaves early", async () => {
    for await (const _ of valkey.snapshot(instanceAt(source.endpoint), { shard: 0 }, calm())) break;
    await expect.poll(() => clientsOf(source)).toBe(1);
  });
});

describe("a snapshot", () => {
  const started: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const server of started.splice(0)) await server.stop();
  });

  async function startLarge(args: string[] = diskless): Promise<ValkeyServer> {
    const server = await startValkey({ version: "8.0", args: [...args, "--rdbcompression", "no"] });
    started.push(server);
    await send(server.endpoint, ["DEBUG", "POPULATE", 40_000, "key", 1_000]);
    return server;
  }

  it("pauses while nobody asks for more, and is whole for all that", async () => {
    const server = await startLarge();
    const chunks: Buffer[] = [];
    for await (const chunk of valkey.snapshot(instanceAt(server.endpoint), { shard: 0 }, calm())) {
      chunks.push(Buffer.from(chunk));
      if (chunks.length < 20) await sleep(20);
    }
    expect(await check(chunks)).toMatchObject({ crc64: "ok", keys: 40_000 });
  });

  it("needs no more of an ACL than the error tells to grant", async () => {
    const server = await startLarge();
    await send(server.endpoint, [
      "ACL",
      "SETUSER",
      "backup",
      "on",
      ">x",
      "-@all",
      "+ping",
      "+info",
      "+psync",
      "+replconf",
    ]);
    const instance = instanceAt(server.endpoint, { authUser: "backup", authSecret: "secret:x" });
    expect(await check([await collect(valkey.snapshot(instance, { shard: 0 }, calm()))])).toMatchObject({
      keys: 40_000,
    });
  });

  it("comes whole over TLS", async () => {
    const server = await startTlsValkey(["--enable-debug-command", "yes", ...diskless]);
    started.push(server);
    const { pem: caCertificate } = server.certificate;
    const instance = instanceAt(server.endpoint, { transitEncryptionMode: "SERVER_AUTHENTICATION", caCertificate });
    const file = await collect(valkey.snapshot(instance, { shard: 0 }, calm()));
    expect(await check([file])).toMatchObject({ crc64: "ok" });
  });

  it("is UNAVAILABLE when the server is killed in the middle", async () => {
    const server = await startLarge();
    const stream = valkey.snapshot(instanceAt(server.endpoint), { shard: 0 }, calm())[Symbol.asyncIterator]();
    await stream.next();
    signal(server, "SIGKILL");
    const rest = collect({ [Symbol.asyncIterator]: () => stream });
    await expect(rest).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining(server.endpoint),
    });
  });

  it("is UNAVAILABLE when the server stalls", async () => {
    const server = await startLarge();
    const impatient = createValkey({ resolveSecret: async () => "", silenceMs: 300 });
    const reading = (async () => {
      for await (const _ of impatient.snapshot(instanceAt(server.endpoint), { shard: 0 }, calm()))
        signal(server, "SIGSTOP");
    })();
    const expectation = expect(reading).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("nothing came for 0.3 s"),
    });
    await expectation.finally(() => signal(server, "SIGCONT"));
  });

  it("waits for a save that takes long, as long as newlines come", async () => {
    const server = await startLarge(["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "4"]);
    const impatient = createValkey({ resolveSecret: async () => "", silenceMs: 3_000 });
    const file = await collect(impatient.snapshot(instanceAt(server.endpoint), { shard: 0 }, calm()));
    expect(await check([file])).toMatchObject({ keys: 40_000 });
  });

  it("ends at once, with the signal's reason, when it is aborted in the middle", async () => {
    const server = await startLarge();
    const controller = new AbortController();
    const reading = (async () => {
      for await (const _ of valkey.snapshot(instanceAt(server.endpoint), { shard: 0 }, controller.signal))
        controller.abort("enough");
    })();
    await expect(reading).rejects.toBe("enough");
  });

  it("ends at once, with the signal's reason, when it is aborted while the save is awaited", async () => {
    const server = await startLarge(["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "30"]);
    const controller = new AbortController();
    setTimeout(() => controller.abort("enough"), 200);
    await expect(collect(valkey.snapshot(instanceAt(server.endpoint), { shard: 0 }, controller.signal))).rejects.toBe(
      "enough",
    );
  });

  it("is refused by a server that knows no rdb-only replicas", async () => {
    const answers: Record<string, string> = {
      PING: "+PONG",
      capa: "+OK",
      "rdb-only": "-ERR Unrecognized REPLCONF option",
    };
    const old = await scripted((words, socket) => {
      const known = words.find((word) => word in answers) ?? "PING";
      socket.write(`${answers[known]}\r\n`);
    });
    started.push(old);
    await expect(collect(valkey.snapshot(instanceAt(old.endpoint), { shard: 0 }, calm()))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("rdb-only"),
    });
  });

  it("of a replica without its primary is UNAVAILABLE", async () => {
    const replica = await startValkey({ version: "8.0", args: ["--replicaof", `127.0.0.1 ${await freePort()}`] });
    started.push(replica);
    await expect(snapshotOf(replica.endpoint)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it.each([
    ["before the file", "+FULLRESYNC 0123456789012345678901234567890123456789 0\r\n"],
    ["in the file", "+FULLRESYNC 0123456789012345678901234567890123456789 0\r\n$100\r\nREDIS0011"],
    ["before the mark", `+FULLRESYNC ${"0".repeat(40)} 0\r\n$EOF:${"a".repeat(40)}\r\nREDIS0011${"a".repeat(39)}`],
  ])("that ends %s is UNAVAILABLE", async (_where, reply) => {
    const server = await scripted((words, socket) => {
      if (words.includes("PSYNC")) socket.end(reply);
      else socket.write("+OK\r\n");
    });
    started.push(server);
    await expect(snapshotOf(server.endpoint)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("ended early"),
    });
  });

  it("of a shard that there is not is refused", async () => {
    await expect(collect(valkey.snapshot(instanceAt("127.0.0.1:1"), { shard: 1 }, calm()))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
    });
  });
});

/** The connection that asks is one of them. */
async function clientsOf(server: ValkeyServer): Promise<number> {
  return String(await send(server.endpoint, ["CLIENT", "LIST"]))
    .trim()
    .split("\n").length;
}

/** A server that answers as it is told, one command at a time. */
async function scripted(answer: (words: string[], socket: Socket) => void) {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data) => answer(data.toString().split("\r\n"), socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    endpoint: `127.0.0.1:${port}`,
    async stop() {
      server.close();
    },
  };
}
