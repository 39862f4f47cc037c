import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { fileSource } from "../../infra/cli/file-source.ts";
import type { RdbEntry } from "../../shared/rdb/entry.ts";
import { dumpPayload } from "../../shared/rdb/payload.ts";
import { records } from "../../shared/rdb/records.ts";

/** Writes what `valkey-cli --pipe` is fed with: the RESTOREs of every key of a file, with absolute expiry times. */
export async function writeRestoreCommands(rdb: string, file: string): Promise<void> {
  const output = createWriteStream(file);
  let db = 0;
  for await (const batch of records(fileSource(rdb, new AbortController().signal))) {
    const parts: Uint8Array[] = [];
    for (const entry of batch) {
      if (entry.kind === "record" && entry.db !== db) {
        db = entry.db;
        parts.push(...bulks(["SELECT", `${db}`]));
      }
      parts.push(...bulks(wordsOf(entry)));
    }
    if (!output.write(Buffer.concat(parts))) await once(output, "drain");
  }
  output.end();
  await finished(output);
}

function wordsOf(entry: RdbEntry): (string | Uint8Array)[] {
  if (entry.kind === "function") return ["FUNCTION", "LOAD", entry.code];
  const { key, value, type, expireTimeMs } = entry;
  if (value === undefined) throw new Error("a value is too large to be held");
  const { header, footer } = dumpPayload(type, value, "REDIS");
  const payload = Buffer.concat([header, value, footer]);
  if (expireTimeMs === -1) return ["RESTORE", key, "0", payload];
  return ["RESTORE", key, `${expireTimeMs}`, payload, "ABSTTL"];
}

function bulks(words: readonly (string | Uint8Array)[]): Uint8Array[] {
  const parts: Uint8Array[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = typeof word === "string" ? Buffer.from(word) : word;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, lineEnd);
  }
  return parts;
}

const lineEnd = Buffer.from("\r\n");
