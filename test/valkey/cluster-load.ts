import { randomBytes } from "node:crypto";
import type { LoadOptions, LoadResult, LoadSource } from "../../shared/pipeline/ports.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";
import type { Cluster } from "../fixture/cluster.ts";
import { send } from "./client.ts";
import { atHalf, calm, firstAttempt, instanceAt, sourceOf, valkey } from "./fixture.ts";

export function loadInto(
  cluster: Cluster,
  source: LoadSource,
  changes: Partial<LoadOptions> = {},
): Promise<LoadResult> {
  const instance = instanceAt(cluster.endpoint, { mode: "CLUSTER" });
  return valkey.load(instance, source, { ...firstAttempt, ...changes }, calm());
}

/** Of the shards as they were made. */
export const primariesOf = ({ shards }: Cluster): string[] => shards.map(({ primary }) => primary.endpoint);

export async function emptied(cluster: Cluster): Promise<void> {
  const commands = [["FLUSHALL"], ["FUNCTION", "FLUSH"], ["CONFIG", "RESETSTAT"]];
  for (const endpoint of primariesOf(cluster)) await send(endpoint, ...commands);
}

/** A file of strings of this size that do not compress, under the keys that `nameOf` gives. */
export async function randomKeys(
  count: number,
  valueBytes: number,
  nameOf: (n: number) => string = (n) => `key:${n}`,
): Promise<LoadSource> {
  const noise = randomBytes(1_000_003 + valueBytes);
  const value = (n: number) => noise.subarray((n * 7_919) % 1_000_003).subarray(0, valueBytes);
  const items = Array.from({ length: count }, (_, n) => ({
    kind: "record" as const,
    key: Buffer.from(nameOf(n)),
    type: 0,
    value: Uint8Array.from(encodeString(value(n))),
    db: 0,
    expireTimeMs: n % 3 === 0 ? 4_102_444_800_000 + n : -1,
  }));
  return await sourceOf(writeRdb({ magic: "REDIS", rdbVersion: 11 }, items));
}

/** Its second half comes only when it is told to. */
export function heldUp(of: LoadSource): { source: LoadSource; began: Promise<void>; goOn: () => void } {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const source = atHalf(of, async () => {
    reached.resolve();
    await released.promise;
  });
  return { source, began: reached.promise, goOn: released.resolve };
}
