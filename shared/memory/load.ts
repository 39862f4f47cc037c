import { StatusError } from "../error.ts";
import type { LoadOptions, LoadResult, LoadSource } from "../pipeline/ports.ts";
import type { RdbRecord } from "../rdb/entry.ts";
import { libraryNameOf } from "../rdb/function-library.ts";
import type { Checkpoint } from "../rdb/reader.ts";
import { records } from "../rdb/records.ts";
import { markAt, stretchLeft } from "../rdb/stretch.ts";
import { nameOf } from "./keys.ts";
import type { MemoryServer } from "./valkey.ts";

/** Creates every record of the file, or of its stretch, in the first shard, as far as nothing stands there. */
export async function loadInto(
  server: MemoryServer,
  source: LoadSource,
  options: LoadOptions,
  signal: AbortSignal,
): Promise<LoadResult> {
  await options.confirm();
  const { from, onProgress } = options;
  const empty: LoadResult = { databases: {}, expiredKeys: 0, soonExpiredKeys: 0, functions: 0 };
  const result = structuredClone(from?.result ?? empty);
  const endOffset = source.stretch?.endOffset ?? source.facts.sizeBytes;
  if (from !== undefined && from.offset >= endOffset) return result;
  const stretch = stretchLeft(source.facts, source.stretch, from);
  const range = { start: stretch?.startOffset ?? 0, end: endOffset };
  const tell = (checkpoint: Checkpoint) => onProgress?.({ ...markAt(checkpoint), result: structuredClone(result) });
  const reading = { stretch, checkpointBytes: 1, onCheckpoint: tell };
  for await (const batch of records(source.read(range, signal), reading))
    for (const entry of batch) {
      signal.throwIfAborted();
      if (entry.kind === "record") restore(server, entry, options, result);
      else if (options.withFunctions) {
        putLibrary(server, Buffer.from(entry.code).toString(), options);
        result.functions++;
      }
    }
  onProgress?.({ offset: endOffset, database: 0, crc64: source.stretch?.crc64?.after ?? "", result });
  return result;
}

function putLibrary({ functions }: MemoryServer, code: string, { replace }: LoadOptions): void {
  const name = libraryNameOf(Buffer.from(code));
  const same = [...functions].find((other) => libraryNameOf(Buffer.from(other)) === name);
  if (same !== undefined && !replace)
    throw new StatusError("FAILED_PRECONDITION", "the target has a function of the file already");
  if (same !== undefined) functions.delete(same);
  functions.add(code);
}

function restore(server: MemoryServer, record: RdbRecord, options: LoadOptions, result: LoadResult): void {
  const leftMs = record.expireTimeMs === -1 ? Number.POSITIVE_INFINITY : record.expireTimeMs - options.now();
  if (leftMs <= 0) result.expiredKeys++;
  else put(server, record, options, result);
  if (leftMs > 0 && leftMs <= 60_000) result.soonExpiredKeys++;
}

function put(
  { shards }: MemoryServer,
  { db, key, type, value, expireTimeMs }: RdbRecord,
  options: LoadOptions,
  result: LoadResult,
): void {
  const name = nameOf(db, key);
  const shard = shards[0];
  if (shard === undefined || value === undefined)
    throw new StatusError("INTERNAL", "a server in memory takes small records into its first shard");
  if (shard.has(name) && !options.replace)
    throw new StatusError("FAILED_PRECONDITION", "the target has a key already: someone else writes there");
  shard.set(name, { type, expireTimeMs, value: Uint8Array.from(value) });
  const { keys, expires } = result.databases[db] ?? { keys: 0, expires: 0 };
  result.databases[db] = { keys: keys + 1, expires: expires + (expireTimeMs === -1 ? 0 : 1) };
}
