import { StatusError } from "../error.ts";
import type { ScanOptions } from "../pipeline/ports.ts";
import { opcode } from "../rdb/opcodes.ts";
import { RdbStream } from "../rdb/rdb-stream.ts";
import { encodeString } from "../rdb/writer.ts";
import type { MemoryServer } from "./valkey.ts";

/** A shard's file of version 11 by scan: `server.keysOfScan` keys in each call, all of them where that is absent. Its cursor is the place of a key. */
export function* memoryScan(
  server: MemoryServer,
  shard: number,
  { from, onEnd }: ScanOptions,
  endpoint: string,
): Generator<Uint8Array, void, undefined> {
  if (from !== undefined && from.runId !== server.runId)
    throw new StatusError("ABORTED", `${endpoint} was started anew while it was scanned`);
  const out = new RdbStream(from && { offset: from.offset, crc64: BigInt(`0x${from.crc64}`) });
  const keys = [...(server.shards[shard] ?? [])];
  const start = Number(from?.cursor ?? 0);
  const end = Math.min(keys.length, start + (server.keysOfScan ?? keys.length));
  if (from === undefined) {
    out.header({ magic: "REDIS", rdbVersion: 11 });
    for (const code of server.functions) {
      out.byte(opcode.function);
      out.append(encodeString(code));
    }
  }
  for (const [name, { type, expireTimeMs, value }] of keys.slice(start, end)) {
    const [db = "0", hex = ""] = name.split(":");
    const key = Buffer.from(hex, "hex");
    out.selectDatabase(Number(db));
    if (expireTimeMs !== -1) out.expireTime(BigInt(expireTimeMs));
    out.beginRecord(type, key, 0, key.length);
    out.append(value);
    yield Uint8Array.from(out.take());
  }
  if (out.waitingBytes > 0) yield Uint8Array.from(out.take());
  if (end === keys.length) {
    yield out.end();
    return onEnd(undefined);
  }
  const crc64 = out.crc64.toString(16).padStart(16, "0");
  const { runId } = server;
  const { offset } = out;
  const recent = { offset, horizon: "0" };
  onEnd({ endpoint, runId, rdbVersion: 11, database: 0, cursor: String(end), offset, crc64, recent });
}
