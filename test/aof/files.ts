import { AofReader, type AofVerdict } from "../../shared/aof/reader.ts";
import type { StatusError } from "../../shared/error.ts";
import { encodeString, type RdbItem, writeRdb } from "../../shared/rdb/writer.ts";
import { thrownBy } from "../rdb/files.ts";

/** Commands as a server writes them; one for each text, its words apart by spaces. */
export const log = (...commands: string[]): Buffer => Buffer.concat(commands.map((text) => entry(...text.split(" "))));

/** One command of any words. */
export const entry = (...words: (string | Uint8Array)[]): Buffer =>
  Buffer.concat([
    Buffer.from(`*${words.length}\r\n`),
    ...words.flatMap((word) => [
      Buffer.from(`$${Buffer.byteLength(word)}\r\n`),
      Buffer.from(word),
      Buffer.from("\r\n"),
    ]),
  ]);

/** An RDB file with so many keys, as it stands at the beginning of an AOF. */
export function preamble(keys = 1): Buffer {
  const items = Array.from(
    { length: keys },
    (_, n): RdbItem => ({
      kind: "record",
      db: 0,
      key: Buffer.from(`key-${n}`),
      type: 0,
      value: Uint8Array.from(encodeString("v")),
      expireTimeMs: -1,
    }),
  );
  return Buffer.from(writeRdb({ magic: "REDIS", rdbVersion: 11 }, items));
}

export function readAll(chunks: Iterable<Uint8Array>): AofVerdict {
  const reader = new AofReader();
  for (const chunk of chunks) reader.write(chunk);
  return reader.end();
}

/** What reading these chunks throws. */
export const failure = (chunks: Iterable<Uint8Array>): StatusError => thrownBy(() => readAll(chunks));
