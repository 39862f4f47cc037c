import type { RdbSummary } from "../../shared/rdb/summary.ts";
import { sizeText } from "./plain.ts";

/** The order in which types are shown. */
const typeNames = ["string", "list", "set", "zset", "hash", "stream", "module"];

/** What `--json` prints of an RDB file, in this order. */
export function rdbReport({ magic, rdbVersion, crc64, sizeBytes, keys, expires, functions, databases }: RdbSummary) {
  const shown = Object.entries(databases).map(([db, { types, ...counts }]) => {
    const sorted = typeNames.filter((name) => types[name] !== undefined).map((name) => [name, types[name]]);
    return [db, { keys: counts.keys, expires: counts.expires, types: Object.fromEntries(sorted) }];
  });
  return { magic, rdbVersion, crc64, sizeBytes, keys, expires, functions, databases: Object.fromEntries(shown) };
}

/** The same for people, a line for each database. */
export function rdbLines(summary: RdbSummary): string[] {
  const { magic, rdbVersion, crc64, sizeBytes, keys, expires, functions, databases } = rdbReport(summary);
  const checksum = crc64 === "ok" ? "CRC64 ok" : "no CRC64 in the file, its structure is whole";
  const lines = [
    `${magic} ${rdbVersion}, ${sizeText(sizeBytes)} (${sizeBytes} bytes), ${checksum}`,
    `${keys} keys, ${expires} of them with an expiry, ${functions} function libraries`,
  ];
  for (const [db, database] of Object.entries(databases as RdbSummary["databases"])) {
    const types = Object.entries(database.types).map(([name, count]) => `${count} ${name}`);
    lines.push(`database ${db}: ${database.keys} keys, ${database.expires} with an expiry: ${types.join(", ")}`);
  }
  return lines;
}
