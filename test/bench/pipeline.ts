import { join } from "node:path";
import type { Backup } from "../../shared/backup/backup.ts";
import { competeWithCli, requireSize } from "./against-cli.ts";
import type { Contest } from "./contest.ts";
import type { Site } from "./site.ts";
import type { Source } from "./source.ts";

/** A backup from the request to the end of its Operation: messages, documents, upload, checksums, manifest. */
export async function benchPipeline(
  site: Site,
  source: Source,
  folder: string,
  cli: readonly string[],
  runs: number,
): Promise<Contest> {
  await site.register("piped", source.server.endpoint);
  const file = join(folder, "snapshot.rdb");
  return await competeWithCli("backup, whole pipeline", source, { file, cli, runs }, [
    {
      name: "backup.v1.requested until done",
      target: 1.25,
      async run() {
        const begin = performance.now();
        const name = await site.backup("piped");
        const seconds = (performance.now() - begin) / 1000;
        const backup = await site.ports.store.get<Backup>(name);
        requireSize(backup?.data.totalSizeBytes ?? 0, source.facts.sizeBytes);
        await site.discard(name);
        return seconds;
      },
    },
  ]);
}
