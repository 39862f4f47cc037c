import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Backup } from "../../shared/backup/backup.ts";
import { rest } from "./client.ts";
import { type Contest, compete } from "./contest.ts";
import type { Site } from "./site.ts";
import { requireSize } from "./snapshot.ts";
import { type Source, takeByCli } from "./source.ts";

/** A backup from the request to the end of its Operation: messages, documents, upload, checksums, manifest. */
export async function benchPipeline(
  site: Site,
  { server, facts }: Source,
  folder: string,
  cli: readonly string[],
  runs: number,
): Promise<Contest> {
  const file = join(folder, "snapshot.rdb");
  await site.register("piped", server.endpoint);
  return await compete(
    "backup, whole pipeline",
    runs,
    [
      {
        name: "valkey-cli --rdb FILE",
        async run() {
          const seconds = await takeByCli(cli, server, file);
          requireSize((await stat(file)).size, facts.sizeBytes);
          return seconds;
        },
      },
      {
        name: "backup.v1.requested until done",
        target: 1.25,
        async run() {
          const begin = performance.now();
          const name = await site.backup("piped");
          const seconds = (performance.now() - begin) / 1000;
          const backup = await site.ports.store.get<Backup>(name);
          requireSize(backup?.data.totalSizeBytes ?? 0, facts.sizeBytes);
          await site.discard(name);
          return seconds;
        },
      },
    ],
    async () => {
      await rm(file, { force: true });
      await rest(server.endpoint);
    },
  );
}
