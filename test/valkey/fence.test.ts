import { setTimeout as sleep } from "node:timers/promises";
import { Valkey } from "iovalkey";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { LoadSource } from "../../shared/pipeline/ports.ts";
import { send } from "./client.ts";
import { atHalf, calm, diskless, firstAttempt, instanceAt, snapshotOf, sourceOf, valkey } from "./fixture.ts";

let source: ValkeyServer;
let target: ValkeyServer;
let file: LoadSource;

beforeAll(async () => {
  source = await startValkey({ version: "8.0", args: diskless });
  target = await startValkey({ version: "8.0" });
  await send(source.endpoint, ["DEBUG", "POPULATE", 20_000, "key", 100]);
  file = await sourceOf(await snapshotOf(source.endpoint));
});
afterAll(async () => {
  await source?.stop();
  await target?.stop();
});
beforeEach(() => send(target.endpoint, ["FLUSHALL"]));

describe("a load", () => {
  it("goes by the name of its operation and epoch", async () => {
    const { source: held, began, goOn } = heldUp();
    const loading = load(held, { epoch: 3 });
    await began;
    const names = String(await send(target.endpoint, ["CLIENT", "LIST"])).match(/(?<=name=)valkeep-\S*/g);
    goOn();
    await loading;
    expect(names).toEqual(["valkeep-restore-7-0-3"]);
  });

  it("kills the attempt before it, which ends UNAVAILABLE", async () => {
    const { source: held, began, goOn } = heldUp();
    const zombie = expect(load(held, { epoch: 3 })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await began;
    const second = await load(file, { epoch: 4, replace: true });
    goOn();
    await zombie;
    expect(second.databases).toEqual({ 0: { keys: 20_000, expires: 0 } });
  });

  it("is ABORTED if a later attempt is at work", async () => {
    const { source: held, began, goOn } = heldUp();
    const later = load(held, { epoch: 5 });
    await began;
    await expect(load(file, { epoch: 4 })).rejects.toMatchObject({ code: "ABORTED" });
    goOn();
    await later;
  });

  it("that fails leaves nothing for the server to go on with", async () => {
    await send(target.endpoint, ["SET", "key:11", "somebody's"]);
    await expect(load(file, { epoch: 1 })).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    await send(target.endpoint, ["FLUSHALL"]);
    await sleep(100);
    expect(await send(target.endpoint, ["DBSIZE"])).toBe(0);
  });

  it("that is aborted leaves nothing for the server to go on with", async () => {
    const controller = new AbortController();
    const source = atHalf(file, () => controller.abort("enough"));
    await expect(valkey.load(instanceAt(target.endpoint), source, firstAttempt, controller.signal)).rejects.toBe(
      "enough",
    );
    await send(target.endpoint, ["FLUSHALL"]);
    await sleep(100);
    expect(await send(target.endpoint, ["DBSIZE"])).toBe(0);
  });

  it.each(["valkeep-restore-1", "somebody", "valkeep-restore-7-x"])("lets a connection named %s be", async (name) => {
    const [host = "", port] = target.endpoint.split(":");
    const other = new Valkey({ host, port: Number(port), connectionName: name, retryStrategy: () => null });
    other.on("error", () => undefined);
    await other.ping();
    await load(file, { epoch: 9 });
    const answer = await other.ping().catch(() => "killed");
    other.disconnect();
    expect(answer).toBe("PONG");
  });

  it("goes on unfenced where the ACL allows no CLIENT commands", async () => {
    await send(target.endpoint, ["ACL", "SETUSER", "writer", "on", ">x", "~*", "+@all", "-client"]);
    const instance = instanceAt(target.endpoint, { authUser: "writer", authSecret: "secret:x" });
    const result = await valkey.load(instance, file, firstAttempt, calm());
    expect(result.databases[0]?.keys).toBe(20_000);
  });

  it("needs no more of an ACL than the error tells to grant", async () => {
    const grants =
      "+ping +info +psync +replconf +function|stats +restore +select +function|load +client|setname +client|list +client|kill ~*";
    await send(target.endpoint, ["ACL", "SETUSER", "exact", "on", ">x", "-@all", ...grants.split(" ")]);
    const instance = instanceAt(target.endpoint, { authUser: "exact", authSecret: "secret:x" });
    const result = await valkey.load(instance, file, firstAttempt, calm());
    expect(result.databases[0]?.keys).toBe(20_000);
  });

  it("names RESTORE if the ACL lacks it", async () => {
    await send(target.endpoint, ["ACL", "SETUSER", "reader", "on", ">x", "~*", "+@all", "-restore"]);
    const instance = instanceAt(target.endpoint, { authUser: "reader", authSecret: "secret:x" });
    await expect(valkey.load(instance, file, firstAttempt, calm())).rejects.toMatchObject({
      code: "PERMISSION_DENIED",
      message: expect.stringContaining("lacks restore"),
    });
  });

  it("says so if the ACL keeps some keys from it, without naming one", async () => {
    await send(target.endpoint, ["ACL", "SETUSER", "narrow", "on", ">x", "~other:*", "+@all"]);
    const instance = instanceAt(target.endpoint, { authUser: "narrow", authSecret: "secret:x" });
    await expect(valkey.load(instance, file, firstAttempt, calm())).rejects.toMatchObject({
      code: "PERMISSION_DENIED",
      message: expect.stringMatching(/^(?!.*key:\d).*lacks access to every key/),
    });
  });

  it("refuses an operation whose id no connection can be called by", async () => {
    const options = { ...firstAttempt, operation: "two words" };
    await expect(valkey.load(instanceAt(target.endpoint), file, options, calm())).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });
});

function load(from: LoadSource, changes: { epoch: number; replace?: boolean }) {
  return valkey.load(instanceAt(target.endpoint), from, { ...firstAttempt, ...changes }, calm());
}

/** The file, but its second half comes only when it is told to. */
function heldUp() {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const source: LoadSource = {
    ...file,
    async *read(range, signal) {
      let pieces = 0;
      for await (const piece of file.read(range, signal)) {
        if (pieces++ === 8) {
          reached.resolve();
          await Promise.race([released.promise, new Promise((resolve) => signal.addEventListener("abort", resolve))]);
          signal.throwIfAborted();
        }
        yield piece;
      }
    },
  };
  return { source, began: reached.promise, goOn: released.resolve };
}
