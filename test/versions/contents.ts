import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { Valkey } from "iovalkey";
import { type Fingerprint, fingerprint } from "../fixture/dataset.ts";
import type { Release } from "./release.ts";

/** What a server holds, told so that servers of different releases can be compared. */
export interface Contents {
  release: Release;
  fingerprint: Fingerprint;
  /** By database and key (hexadecimal): a hash over the value as commands tell it. */
  values: Record<string, Record<string, string>>;
}

/** Reads every key and every function of a server. Needs DEBUG. */
export async function contentsOf(release: Release, endpoint: string): Promise<Contents> {
  const found = await fingerprint(endpoint);
  const [host = "", port] = endpoint.split(":");
  const client = new Valkey({ host, port: Number(port), retryStrategy: () => null });
  try {
    const values: Contents["values"] = {};
    for (const [database, keys] of Object.entries(found.databases)) {
      await client.select(Number(database));
      const hashing = Object.entries(keys).map(
        async ([key, { type }]) => [key, await hashOf(client, Buffer.from(key, "hex"), type)] as const,
      );
      values[database] = Object.fromEntries(await Promise.all(hashing));
    }
    return { release, fingerprint: found, values };
  } finally {
    client.disconnect();
  }
}

/** Where the two do not hold the same; nothing where they do. */
export function differenceOf(original: Contents, found: Contents): string | undefined {
  const [wanted, there] = [original.fingerprint, found.fingerprint];
  // Redis 7.0 prints the scores of sorted sets otherwise (%.17g) than later servers: its digest is of another kind.
  const isOneKind = (original.release === "redis-7.0") === (found.release === "redis-7.0");
  const seen = (value: unknown) => (isOneKind ? value : withoutActiveTime(value));
  for (const [database, keys] of Object.entries(wanted.databases))
    for (const [key, value] of Object.entries(keys)) {
      const isSame =
        isDeepStrictEqual(seen(value), seen(there.databases[database]?.[key])) &&
        original.values[database]?.[key] === found.values[database]?.[key];
      if (!isSame) return `database ${database} differs in "${Buffer.from(key, "hex").subarray(0, 40)}"`;
    }
  if (!isDeepStrictEqual(original.values, found.values)) return "there are keys that were not there";
  if (!isDeepStrictEqual(wanted.functions, there.functions)) return "the functions differ";
  return isOneKind && wanted.digest !== there.digest ? "the digests differ" : undefined;
}

/** Of a stream's consumers: Redis 7.0 does not know it. */
function withoutActiveTime(value: unknown): unknown {
  if (Array.isArray(value)) {
    const at = value.indexOf("active-time");
    return (at < 0 ? value : value.toSpliced(at, 2)).map(withoutActiveTime);
  }
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withoutActiveTime(part)]));
}

/** Members of sets and fields of hashes have no order; scores are numbers, however they are printed. */
async function hashOf(client: Valkey, key: Buffer, type: string): Promise<string> {
  const ask = async (...words: string[]) =>
    (await client.callBuffer(words[0] ?? "", key, ...words.slice(1))) as Buffer | Buffer[];
  const list = async (...words: string[]) => [await ask(...words)].flat(9).map((part) => part.toString("hex"));
  const pairs = (words: string[]) => words.flatMap((word, at) => (at % 2 === 0 ? [`${word} ${words[at + 1]}`] : []));
  const told = async (): Promise<unknown> => {
    switch (type) {
      case "string":
        return await list("GET");
      case "list":
        return await list("LRANGE", "0", "-1");
      case "set":
        return (await list("SMEMBERS")).sort();
      case "hash":
        return pairs(await list("HGETALL")).sort();
      case "zset":
        return (await client.zrangeBuffer(key, 0, -1, "WITHSCORES")).map((part, at) =>
          at % 2 === 0 ? part.toString("hex") : Number(part),
        );
      case "stream":
        return await list("XRANGE", "-", "+");
      default:
        return String(await client.call("DEBUG", "DIGEST-VALUE", key));
    }
  };
  return createHash("sha1")
    .update(JSON.stringify(await told()))
    .digest("hex");
}
