import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { fileSource } from "../../infra/cli/file-source.ts";
import type { RdbEntry } from "../../shared/rdb/entry.ts";
import { dumpPayload } from "../../shared/rdb/payload.ts";
import { records } from "../../shared/rdb/records.ts";

/** Writes what `valkey-cli --pipe` is fed with: the RESTOREs of every key of a file, with absolute expiry times. */
export function writeRestoreCommands(rdb: string, file: string): Promise<void> {
  return writeRoutedCommands(fileSource(rdb, new AbortController().signal), [file], () => 0);
}

/** The same in one file for each node; `nodeOf` says which of them a key belongs to. Functions go to every node. */
export async function writeRoutedCommands(
  rdb: AsyncIterable<Uint8Array>,
  files: readonly string[],
  nodeOf: (key: Uint8Array) => number,
): Promise<void> {
  const outputs = files.map((file) => createWriteStream(file));
  const databases = files.map(() => 0);
  for await (const batch of records(rdb)) {
    const parts: Uint8Array[][] = files.map(() => []);
    for (const entry of batch) {
      const nodes = entry.kind === "function" ? files.keys() : [nodeOf(entry.key)];
      for (const node of nodes) {
        if (entry.kind === "record" && entry.db !== databases[node]) {
          databases[node] = entry.db;
          parts[node]?.push(...bulks(["SELECT", `${entry.db}`]));
        }
        parts[node]?.push(...bulks(wordsOf(entry)));
      }
    }
    for (const [node, output] of outputs.entries())
      if (!output.write(Buffer.concat(parts[node] ?? []))) await once(output, "drain");
  }
  for (const output of outputs) {
    output.end();
    await finished(output);
  }
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
