import { parseManifest } from "../../shared/aof/manifest.ts";
import { readParts } from "../../shared/aof/multi-part.ts";
import { AofReader, tornBytesOf } from "../../shared/aof/reader.ts";
import { aofLines, aofReport, partsLines, partsReport } from "./aof-report.ts";
import { beside, manifestAt, openSource, readSmall } from "./check-source.ts";
import { command } from "./command.ts";
import { rdbReport } from "./rdb-report.ts";
import type { Session } from "./session.ts";

export const rdbCheck = command({
  positionals: {
    FILE: {
      help: "an RDB file, an AOF or its folder or manifest: a path, gs://BUCKET/OBJECT, or - for standard input",
    },
  },
  flags: {},
  example: "valkeep rdb check dump.rdb --json",

  async run({ positionals: { FILE: file } }, session) {
    const manifest = manifestAt(file);
    return manifest === undefined ? await checkFile(file, session) : await checkParts(manifest, session);
  },
});

/** Answers 1 for a file that is torn, which is a verdict and no error. */
async function checkFile(file: string, session: Session): Promise<number> {
  const reader = new AofReader();
  for await (const chunk of await openSource(file, session)) reader.write(chunk);
  const verdict = reader.end();
  const { base, log } = verdict;
  const report = base !== undefined && log === undefined ? rdbReport(base) : aofReport(verdict);
  session.print(report, aofLines(verdict).join("\n"));
  return tornBytesOf(verdict) > 0 ? 1 : 0;
}

async function checkParts(manifest: string, session: Session): Promise<number> {
  const files = await readParts(parseManifest(await readSmall(manifest, session)), (fileName) =>
    openSource(beside(manifest, fileName), session),
  );
  const report = partsReport(files);
  session.print(report, partsLines(files).join("\n"));
  return report.tornBytes > 0 ? 1 : 0;
}
