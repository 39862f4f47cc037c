import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { LoadSource } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { addressOf } from "../../shared/valkey/address.ts";
import { replicate } from "../../shared/valkey/snapshot/replication.ts";
import { send } from "./client.ts";
import { calm, diskless, firstAttempt, instanceAt, snapshotOf, sourceOf, valkey } from "./fixture.ts";

let server: ValkeyServer;
let file: LoadSource;

beforeAll(async () => {
  server = await startValkey({ version: "8.0", args: [...diskless, "--rdbcompression", "no"], password: "x" });
  const source = await startValkey({ version: "8.0", args: [...diskless, "--rdbcompression", "no"] });
  await send(source.endpoint, ["DEBUG", "POPULATE", 3_000, "key", 1_000]);
  file = await sourceOf(await snapshotOf(source.endpoint));
  await source.stop();
});
afterAll(() => server?.stop());

/** Every byte of what comes before the bulk, and some of the bulk. */
const places = [...Array(160).keys(), 300, 1_000, 5_000];

describe("wherever the link is cut", () => {
  it("a replication link ends as UNAVAILABLE", async () => {
    const codes = new Set<string>();
    for (const bytes of places) {
      const cut = await cutAfter(server, { answered: bytes });
      const address = await addressOf(instanceAt(cut.endpoint, { authSecret: "secret:x" }), async () => "x");
      codes.add(await codeOf(collect(replicate(address, calm()))));
      cut.stop();
    }
    // The empty server's file with all that comes before it is about 330 bytes.
    expect([...codes].sort()).toEqual(["UNAVAILABLE", "done"]);
  });

  it("a snapshot ends as UNAVAILABLE, be it that the server cannot even be asked what it is", async () => {
    const codes: string[] = [];
    for (const bytes of [0, 1_000, 100_000]) {
      const cut = await cutAfter(server, { answered: bytes });
      const instance = instanceAt(cut.endpoint, { authSecret: "secret:x" });
      codes.push(await codeOf(collect(valkey.snapshot(instance, { shard: 0 }, calm()))));
      cut.stop();
    }
    expect(codes).toEqual(["UNAVAILABLE", "UNAVAILABLE", "done"]);
  });

  it("a description ends as UNAVAILABLE", async () => {
    const codes = new Set<string>();
    // Before its first answer, of 34 bytes, a server that hangs up is asked whether it wants TLS, which takes a while.
    for (const bytes of [0, 20, ...places.filter((place) => place > 33)]) {
      const cut = await cutAfter(server, { answered: bytes });
      codes.add(await codeOf(valkey.describe(instanceAt(cut.endpoint, { authSecret: "secret:x" }), calm())));
      cut.stop();
    }
    expect([...codes]).toEqual(["UNAVAILABLE"]);
  });

  it("a load ends as UNAVAILABLE, and a second attempt mends it", async () => {
    const codes = new Set<string>();
    for (const bytes of [...places, 100_000, 1_000_000, 3_000_000]) {
      const cut = await cutAfter(server, { asked: bytes });
      const instance = instanceAt(cut.endpoint, { authSecret: "secret:x" });
      codes.add(await codeOf(valkey.load(instance, file, { ...firstAttempt, replace: true }, calm())));
      cut.stop();
    }
    const instance = instanceAt(server.endpoint, { authSecret: "secret:x" });
    const result = await valkey.load(instance, file, { ...firstAttempt, epoch: 2, replace: true }, calm());
    const held = await send(server.endpoint, ["AUTH", "x"], ["DBSIZE"]);
    expect({ codes: [...codes], result: result.databases, held }).toEqual({
      codes: ["UNAVAILABLE"],
      result: { 0: { keys: 3_000, expires: 0 } },
      held: 3_000,
    });
  });
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "done",
    (error: { code?: string }) => error.code ?? String(error),
  );
}

/** A way to the server on which every connection is cut after so many bytes in one direction. */
async function cutAfter(to: ValkeyServer, limit: { asked?: number; answered?: number }) {
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = connect(to.port, "127.0.0.1");
    const hangUp = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) sockets.add(socket.on("error", hangUp).on("close", hangUp));
    forward(near, far, limit.asked, hangUp);
    forward(far, near, limit.answered, hangUp);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const address = proxy.address();
  return {
    endpoint: `127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    stop() {
      proxy.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function forward(from: Socket, to: Socket, limit = Number.POSITIVE_INFINITY, hangUp: () => void): void {
  let left = limit;
  if (left === 0) hangUp();
  from.on("data", (data) => {
    const part = data.subarray(0, left);
    left -= part.length;
    to.write(part, () => {
      if (left <= 0) hangUp();
    });
  });
}
