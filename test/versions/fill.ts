import { DATABASES, FAR_FUTURE, fillEverything } from "../fixture/dataset.ts";
import { send } from "../valkey/client.ts";

/** Of `fillEverything`, what servers since Redis 7.0 write in one and the same way: no small sets of strings, no streams. */
export async function fillCommon(endpoint: string): Promise<void> {
  await fillEverything(endpoint);
  const newer = ["set:listpack", "stream:small", "stream:large", "stream:empty", "stream:emptied"];
  for (const database of DATABASES) await send(endpoint, ["SELECT", database], ["DEL", ...newer]);
}

/** Hashes, small and large, some of whose fields expire: from Valkey 9.0 and Redis 7.4 on. */
export async function fillExpiringFields(endpoint: string): Promise<void> {
  const fields = (count: number) => Array.from({ length: count }, (_, n) => `field ${n + 1}`);
  const expire = (key: string, time: number, ...names: string[]) =>
    ["HPEXPIREAT", key, time, "FIELDS", names.length, ...names] as const;
  await send(
    endpoint,
    ["HSET", "fields:small", "kept", "1", "expiring", "2", "sooner", "3"],
    [...expire("fields:small", FAR_FUTURE, "expiring")],
    [...expire("fields:small", FAR_FUTURE - 77_000, "sooner")],
    ["HSET", "fields:large", ...fields(1_000).flatMap((name) => [name, `value of ${name}`])],
    [...expire("fields:large", FAR_FUTURE + 5, ...fields(100))],
    ["PEXPIREAT", "fields:large", FAR_FUTURE + 6],
  );
}

/** Sets of vectors: Redis 8.0 alone, by a module of its own. */
export async function fillVectors(endpoint: string): Promise<void> {
  const numbers = Array.from({ length: 50 }, (_, n) => n + 1);
  await send(endpoint, ...numbers.map((n) => ["VADD", "vectors", "VALUES", 3, n, n ** 2, 1, `element ${n}`]));
}
