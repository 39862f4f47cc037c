import { statSync } from "node:fs";
import { parseObjectUri } from "../../shared/backup/name.ts";
import { StatusError } from "../../shared/error.ts";
import { check } from "../../shared/rdb/check.ts";
import type { RdbSummary } from "../../shared/rdb/summary.ts";
import { command } from "./command.ts";
import { fileSource } from "./file-source.ts";
import { metered } from "./meter.ts";
import { sizeText } from "./plain.ts";
import type { Session } from "./session.ts";

/** The order in which types are shown. */
const typeNames = ["string", "list", "set", "zset", "hash", "stream", "module"];

export const rdbCheck = command({
  positionals: { FILE: { help: "a file, gs://BUCKET/OBJECT, or - for standard input" } },
  flags: {},
  example: "valkeep rdb check dump.rdb --json",

  async run({ positionals: { FILE: file } }, session) {
    const summary = await check(await sourceOf(file, session));
    session.print(reportOf(summary), textOf(summary));
  },
});

async function sourceOf(file: string, session: Session): Promise<AsyncIterable<Uint8Array>> {
  if (file === "-") return metered(session.stdin, 0, session);
  if (!file.startsWith("gs://")) {
    const totalBytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    return metered(fileSource(file, session.signal), totalBytes, session);
  }
  const { bucket, object } = parseObjectUri(file);
  const { ports } = await session.connect();
  const found = await ports.objects.stat(bucket, object);
  if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${file}`);
  return metered(ports.objects.read(found, {}, session.signal), found.sizeBytes, session);
}

/** What `--json` prints, in this order. */
function reportOf({ magic, rdbVersion, crc64, sizeBytes, keys, expires, functions, databases }: RdbSummary) {
  const shown = Object.entries(databases).map(([db, { types, ...counts }]) => {
    const sorted = typeNames.filter((name) => types[name] !== undefined).map((name) => [name, types[name]]);
    return [db, { keys: counts.keys, expires: counts.expires, types: Object.fromEntries(sorted) }];
  });
  return { magic, rdbVersion, crc64, sizeBytes, keys, expires, functions, databases: Object.fromEntries(shown) };
}

function textOf(summary: RdbSummary): string {
  const { magic, rdbVersion, crc64, sizeBytes, keys, expires, functions, databases } = reportOf(summary);
  const checksum = crc64 === "ok" ? "CRC64 ok" : "no CRC64 in the file, its structure is whole";
  const lines = [
    `${magic} ${rdbVersion}, ${sizeText(sizeBytes)} (${sizeBytes} bytes), ${checksum}`,
    `${keys} keys, ${expires} of them with an expiry, ${functions} function libraries`,
  ];
  for (const [db, database] of Object.entries(databases as RdbSummary["databases"])) {
    const types = Object.entries(database.types).map(([name, count]) => `${count} ${name}`);
    lines.push(`database ${db}: ${database.keys} keys, ${database.expires} with an expiry: ${types.join(", ")}`);
  }
  return lines.join("\n");
}
