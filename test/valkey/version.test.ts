import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyRelease, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { LoadSource } from "../../shared/pipeline/ports.ts";
import { rdbVersionOf } from "../../shared/valkey/describe.ts";
import { type Fingerprint, fingerprint } from "../fixture/dataset.ts";
import { send } from "./client.ts";
import { calm, diskless, everything, firstAttempt, instanceAt, snapshotOf, sourceOf, valkey } from "./fixture.ts";

let file: LoadSource;
let original: Fingerprint;

beforeAll(async () => {
  ({ file, original } = await everything());
});

describe.each([
  ["8.1", "Valkey", 11],
  ["9.1", "Valkey", 80],
] as const)("Valkey %s", (version, product, rdbVersion) => {
  withServer(version, (server) => {
    it("is described as what it is", async () => {
      const found = await valkey.describe(instanceAt(server().endpoint), calm());
      expect(found).toMatchObject({ product, rdbVersion, role: "PRIMARY", mode: "CLUSTER_DISABLED" });
    });

    it("takes a file of Valkey 8.0 and holds the same then", async () => {
      await valkey.load(instanceAt(server().endpoint), file, firstAttempt, calm());
      expect(await fingerprint(server().endpoint)).toEqual(original);
    });

    it("gives a file that goes back into Valkey 8.0", async () => {
      const older = await startValkey({ version: "8.0" });
      try {
        const back = await sourceOf(await snapshotOf(server().endpoint));
        await valkey.load(instanceAt(older.endpoint), back, firstAttempt, calm());
        expect(await fingerprint(older.endpoint)).toEqual(original);
      } finally {
        await older.stop();
      }
    });
  });
});

describe("Valkey 9.1", () => {
  withServer("9.1", (server) => {
    it("gives a snapshot of hashes whose fields expire, which needs a Valkey 9 to load", async () => {
      const { endpoint } = server();
      await send(
        endpoint,
        ["HSET", "h", "field", "value"],
        ["HPEXPIREAT", "h", 4_102_444_800_123, "FIELDS", 1, "field"],
      );
      const file = await sourceOf(await snapshotOf(endpoint));
      expect(file.facts).toMatchObject({ magic: "VALKEY", rdbVersion: 80, minimumRdbVersion: 80 });
      const older = await startValkey({ version: "8.0" });
      const refusal = valkey.load(instanceAt(older.endpoint), file, firstAttempt, calm());
      await expect(refusal.finally(older.stop)).rejects.toMatchObject({
        code: "FAILED_PRECONDITION",
        message: expect.stringMatching(/Valkey 8\.0\.1, RDB 11\) does not take a hash of type 22 .* needs RDB 80/),
      });
    });
  });
});

describe("Redis 7.0", () => {
  withServer("redis-7.0", (server) => {
    it("is described as what it is", async () => {
      const found = await valkey.describe(instanceAt(server().endpoint), calm());
      expect(found).toMatchObject({ product: "Redis", rdbVersion: 10 });
    });

    it("refuses a type that came later, and is told which and what it needs", async () => {
      await expect(valkey.load(instanceAt(server().endpoint), file, firstAttempt, calm())).rejects.toMatchObject({
        code: "FAILED_PRECONDITION",
        message: expect.stringMatching(
          /Redis 7\.0\.\d+, RDB 10\) does not take a (set|stream) of type 2[01] .* needs RDB 11/,
        ),
      });
    });

    it("takes what it knows from a file of a later version", async () => {
      const source = await startValkey({ version: "8.0", args: diskless });
      try {
        await send(
          source.endpoint,
          ["SET", "s", "1"],
          ["HSET", "h", "a", "b"],
          ["RPUSH", "l", "a"],
          ["ZADD", "z", 1, "m"],
        );
        await send(server().endpoint, ["FLUSHALL"], ["FUNCTION", "FLUSH"]);
        await valkey.load(
          instanceAt(server().endpoint),
          await sourceOf(await snapshotOf(source.endpoint)),
          firstAttempt,
          calm(),
        );
        expect(await fingerprint(server().endpoint)).toEqual(await fingerprint(source.endpoint));
      } finally {
        await source.stop();
      }
    });

    it("gives a snapshot, too", async () => {
      await send(server().endpoint, ["FLUSHALL"], ["SET", "key", "value"]);
      const { facts } = await sourceOf(await snapshotOf(server().endpoint));
      expect(facts).toMatchObject({ magic: "REDIS", rdbVersion: 10, keys: 1 });
    });
  });
});

describe("the newest RDB version that a release reads", () => {
  it.each([
    ["Valkey", "7.2.5", 11],
    ["Valkey", "8.1.1", 11],
    ["Valkey", "9.0.0", 80],
    ["Valkey", "12.3.4", 80],
    ["Redis", "3.2.1", 7],
    ["Redis", "6.2.14", 9],
    ["Redis", "7.0.15", 10],
    ["Redis", "7.2.4", 11],
    ["Redis", "7.4.1", 12],
    ["Redis", "8.10.0", 12],
  ] as const)("is known of %s %s", (product, version, rdbVersion) => {
    expect(rdbVersionOf(product, version)).toBe(rdbVersion);
  });
});

/** Starts the release for the tests within; where it cannot be had, they are skipped, and the reason is printed. */
function withServer(version: ValkeyRelease, tests: (server: () => ValkeyServer) => void): void {
  describe(`(${version})`, () => {
    let server: ValkeyServer | undefined;
    let reason = "";
    beforeAll(async () => {
      server = await startValkey({ version, args: diskless }).catch((error: Error) => {
        reason = error.message;
        console.warn(`${version} is left out: ${reason}`);
        return undefined;
      });
    });
    beforeEach(({ skip }) => skip(server === undefined, reason));
    afterAll(() => server?.stop());
    tests(() => {
      if (server === undefined) throw new Error(reason);
      return server;
    });
  });
}
