import { join } from "node:path";
import { startProcess } from "../../infra/local/process.ts";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName, selectionObject } from "../../shared/backup/name.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { startSimulatedCluster } from "../fixture/simulated-cluster.ts";
import { command } from "./client.ts";
import { fillMixed, fillOne } from "./fill.ts";
import { say } from "./say.ts";
import type { Site } from "./site.ts";
import { memoryTable } from "./table.ts";

/** The largest cluster that Memorystore has. */
const SHARDS = 250;

/** The size of the one value, in 10^6 bytes, and of the ordinary keys beside it: enough for every node of the largest cluster. */
const VALUE_MB = 64;
const BESIDE_MB = 50;

/** What a function's memory must stay below. */
const LIMIT_BYTES = 256e6;

/** So far apart are the borders in the files of this bench, and so many has each: as that of a shard with 16 GiB by 64 MiB. */
export const fanOutBorderBytes = 2048;
const BORDERS = 256;
const KEYS_OF_SHARD = Math.ceil((BORDERS * fanOutBorderBytes) / 200);

const working = ["backup", "snapshot", "seal", "export", "restore", "load", "verify"] as const;
type Working = (typeof working)[number];

/** One use of the functions, and the peak that each of them had in it, in bytes. */
interface Column {
  title: string;
  peaks: Partial<Record<Working, number>>;
}

/** The peak of each function's memory, a process for each, where files and nodes are many, or a value is large. */
export async function benchFanOutMemory(site: Site): Promise<string> {
  await using servers = new AsyncDisposableStack();
  const server = async (): Promise<ValkeyServer> => {
    // The value would be compressed to next to nothing.
    const started = await startValkey({ args: ["--rdbcompression", "no"] });
    servers.defer(() => started.kill());
    return started;
  };
  const [source, target] = [await server(), await server()];
  await fillMixed(source.endpoint, BESIDE_MB, 1);
  await fillOne(source.endpoint, VALUE_MB);
  await site.register("scanned", source.endpoint, { snapshotMethod: "scan" });
  await site.register("live", target.endpoint);
  const backup = backupName("scanned", "value");
  const columns = [
    await measured(site, `a value of ${VALUE_MB} MB, by SCAN`, working, () => scanAndRestore(site, backup)),
    await measured(site, "as a single key, undone", ["restore", "load"], () =>
      mergeAndUndo(site, backup, target.endpoint),
    ),
    await measured(site, `into ${SHARDS} nodes`, ["restore", "load", "verify"], () => loadIntoMany(site, backup)),
    await measured(site, `${SHARDS} shards`, working, async () => backUpMany(site, await server())),
  ];
  const rows = working.map((name) => ({ process: `function ${name}`, bytes: columns.map(({ peaks }) => peaks[name]) }));
  return memoryTable(
    columns.map(({ title }) => title),
    rows,
    LIMIT_BYTES,
  );
}

async function measured(
  site: Site,
  title: string,
  names: readonly Working[],
  use: () => Promise<void>,
): Promise<Column> {
  await site.renew();
  await use();
  const peaks = site.peaks();
  say(`memory: done with ${title}`);
  return { title, peaks: Object.fromEntries(names.map((name) => [name, peaks[name]])) };
}

async function scanAndRestore(site: Site, backup: string): Promise<void> {
  await site.done("backup.v1.requested", { instance: "scanned", backupId: "value" });
  const taken = await site.ports.store.get<Backup>(backup);
  if (taken?.data.consistency !== "FUZZY") throw new Error(`${backup} was not taken by SCAN`);
  await site.done("export.v1.requested", { backup, gcsBucket: site.exportBucket });
  await site.done("restore.v1.requested", { instance: "live", backup });
}

async function mergeAndUndo(site: Site, backup: string, target: string): Promise<void> {
  await command(target, "SETRANGE", "one", "7", "changed");
  const { ports, done } = site;
  const selection = selectionObject("bench-one-key");
  await ports.objects.create(ports.settings.vaultBucket, selection, once(Buffer.from('{"keys":"one"}')), {});
  const request = { instance: "live", backup, selection, conflictPolicy: "REPLACE" as const, execute: true };
  const merged = await done("selection.v1.requested", request);
  if (merged.response?.replaced !== 1) throw new Error("the key was not replaced");
  const undone = await done("undo.v1.requested", { restore: merged.name, execute: true });
  if (undone.response?.restored !== 1) throw new Error("the key was not put back");
}

/** Of the nodes only their replies are there. */
async function loadIntoMany(site: Site, backup: string): Promise<void> {
  const nodes = await startProcess({
    name: "the simulated primaries",
    command: [process.execPath, join(import.meta.dirname, "../fixture/many-nodes.ts"), `${SHARDS}`],
    ready: /^127\.0\.0\.1:\d+$/,
  });
  try {
    await site.register("many", nodes.readyMatch?.[0] ?? "", { mode: "cluster" });
    await site.done("restore.v1.requested", { instance: "many", backup, maxParallelLoads: 1 });
  } finally {
    await nodes.stop("SIGKILL");
  }
}

/** Of the shards only their replies are there: a backup of all of them, its export, and its restore, file by file, into one server. */
async function backUpMany(site: Site, target: ValkeyServer): Promise<void> {
  await using cluster = await startSimulatedCluster(SHARDS, KEYS_OF_SHARD);
  await site.register("shards", cluster.endpoint, { mode: "cluster" });
  await site.register("one-server", target.endpoint);
  const backup = await site.backup("shards");
  const files = (await site.ports.store.get<Backup>(backup))?.data.backupFiles ?? [];
  const indexed = files.filter(({ index }) => index !== undefined);
  if (indexed.length !== SHARDS) throw new Error(`${indexed.length} files have an index, expected ${SHARDS}`);
  await site.done("export.v1.requested", { backup, gcsBucket: site.exportBucket });
  await site.done("restore.v1.requested", { instance: "one-server", backup, allowShrink: true });
}
