import { startValkey } from "../../infra/local/valkey-server.ts";
import { valkeep } from "./check.ts";
import { countKeys, rest } from "./client.ts";
import { runProgram } from "./program.ts";
import { say } from "./say.ts";
import type { Site } from "./site.ts";
import type { Source } from "./source.ts";
import type { Peak } from "./table.ts";

/** The functions that a backup, its export and its restore pass through. */
const working = ["backup", "snapshot", "seal", "export", "restore", "load", "verify"] as const;

/**
 * The peak of each function's memory, a process for each, over a backup, an export and a restore of each database, and that
 * of the command that checks its file.
 */
export async function benchMemory(site: Site, sources: readonly Source[]): Promise<Peak[]> {
  const columns: Record<string, number>[] = [];
  for (const [at, source] of sources.entries()) {
    const peaks = await peaksOver(site, source, `memory-${at}`);
    const { peakBytes } = await runProgram([valkeep, "rdb", "check", source.file], { watchMemory: true });
    columns.push({ ...peaks, check: peakBytes });
    say(`memory: done with ${source.title}`);
  }
  const row = (process: string, name: string): Peak => ({ process, bytes: columns.map((column) => column[name]) });
  return [...working.map((name) => row(`function ${name}`, name)), row("valkeep rdb check FILE", "check")];
}

async function peaksOver(site: Site, { server, facts }: Source, id: string): Promise<Record<string, number>> {
  const target = await startValkey();
  try {
    await site.renew();
    await rest(server.endpoint);
    await site.register(id, server.endpoint);
    await site.register(`${id}-target`, target.endpoint);
    const backup = await site.backup(id);
    await site.done("export.v1.requested", { backup, gcsBucket: site.exportBucket });
    await site.done("restore.v1.requested", { instance: `${id}-target`, backup });
    const keys = await countKeys(target.endpoint);
    if (keys !== facts.keys) throw new Error(`${keys} of ${facts.keys} keys were restored`);
    const peaks = site.peaks();
    await site.discard(backup);
    return peaks;
  } finally {
    await target.stop();
  }
}
