import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Instance } from "../../shared/backup/backup.ts";
import { fileObject } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { send } from "../valkey/client.ts";
import { instanceAt } from "../valkey/fixture.ts";
import { type Contents, contentsOf, differenceOf } from "./contents.ts";
import { type Holding, holdings } from "./holding.ts";
import { nameOf, type Release } from "./release.ts";
import { createSystem, type System } from "./system.ts";

/** What became of one source's file at one target. */
export interface Pair {
  source: Release;
  holding: string;
  target: Release;
  /** WRONG: neither restored to equal data nor refused with nothing touched; `reason` says what was found. */
  outcome: "RESTORED" | "REFUSED" | "WRONG";
  reason?: string;
  /** Whether the server itself, given the file as its dump.rdb, starts with it. */
  loadsAsFile: boolean;
}

/** How a snapshot is taken. */
export type Method = NonNullable<Instance["snapshotMethod"]>;

/** The rights that the other methods would need: without them it is this one that has worked. */
const others: Readonly<Record<Method, readonly string[]>> = {
  REPLICATION: ["-dump", "-bgsave"],
  SCAN: ["-psync", "-replconf", "-bgsave"],
  VOLUME: ["-psync", "-replconf", "-dump"],
};

/** A backup of one source, taken by the whole pipeline. */
export interface Taken {
  source: Release;
  holding: string;
  system: System;
  backup: string;
  original: Contents;
  /** The file, for servers to load by themselves. */
  path: string;
}

/**
 * Every source with each of its holdings into every target, through every step of the pipeline: backup, seal, preflight,
 * restore, verification; then what the target holds is compared with what the source held. A release that cannot be had
 * must not be among them.
 */
export async function runPairs(sources: readonly Release[], targets: readonly Release[]): Promise<Pair[]> {
  const folder = await mkdtemp(join(tmpdir(), "valkeep-versions-"));
  const pairs: Pair[] = [];
  try {
    const taken: Taken[] = [];
    for (const source of sources)
      for (const [at, holding] of holdings[source].entries())
        taken.push(await take(source, holding, join(folder, `${source}-${at}.rdb`)));
    for (const target of targets) {
      await using server = await started(target);
      for (const backup of taken) pairs.push(await restoreInto(server, target, backup));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  return pairs;
}

/** The file of the backup is put down at `path`, too. */
export async function take(source: Release, holding: Holding, path: string, snapshotMethod?: Method): Promise<Taken> {
  await using server = await started(source);
  await holding.fill(server.endpoint);
  const system = createSystem();
  const method = {
    ...(snapshotMethod !== undefined && { snapshotMethod }),
    ...(snapshotMethod === "VOLUME" && { dataDirectory: server.directory }),
  };
  await system.register(instanceAt(server.endpoint, { name: "instances/source", ...method }));
  if (snapshotMethod !== undefined)
    await send(server.endpoint, ["ACL", "SETUSER", "default", ...others[snapshotMethod]]);
  const operation = await system.ask("backup.v1.requested", { instance: "source", backupId: "first" });
  const backup = "backupCollections/source/backups/first";
  if (operation.error !== undefined) throw new Error(`${nameOf(source)}: ${operation.error.message}`);
  await writeFile(path, await system.read(fileObject(backup, 0)));
  return { source, holding: holding.name, system, backup, original: await contentsOf(source, server.endpoint), path };
}

/** What becomes of a backup at an empty server. */
export async function restoreInto(server: ValkeyServer, target: Release, taken: Taken): Promise<Pair> {
  const { source, holding, system, backup, original, path } = taken;
  await send(server.endpoint, ["FLUSHALL"], ["FUNCTION", "FLUSH"]);
  const untouched = await changesOf(server);
  const id = `target-${target.replaceAll(/[^a-z0-9]/g, "-")}`;
  await system.register(instanceAt(server.endpoint, { name: `instances/${id}` }));
  const operation = await system.ask("restore.v1.requested", { instance: id, backup });
  const pair = { source, holding, target, loadsAsFile: await loadsAsFile(target, path) };
  const refusal = refusalOf(operation);
  if (refusal !== undefined) {
    if ((await changesOf(server)) === untouched) return { ...pair, outcome: "REFUSED", reason: refusal };
    return { ...pair, outcome: "WRONG", reason: `refused after something was written: ${refusal}` };
  }
  if (operation.error !== undefined) return { ...pair, outcome: "WRONG", reason: operation.error.message };
  const difference = differenceOf(original, await contentsOf(target, server.endpoint));
  return difference === undefined
    ? { ...pair, outcome: "RESTORED" }
    : { ...pair, outcome: "WRONG", reason: `restored, but ${difference}` };
}

/** What the first check of the preflight that fails says. */
function refusalOf({ error, checks = [] }: Operation): string | undefined {
  if (error?.code !== "FAILED_PRECONDITION") return undefined;
  return checks.find(({ result }) => result === "FAIL")?.message;
}

/** Rises with everything that is written, functions included. */
async function changesOf({ endpoint }: ValkeyServer): Promise<string> {
  const info = String(await send(endpoint, ["INFO", "persistence"]));
  return /^rdb_changes_since_last_save:(\d+)/m.exec(info)?.[1] ?? "";
}

async function loadsAsFile(version: Release, path: string): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-file-"));
  try {
    await copyFile(path, join(directory, "dump.rdb"));
    const server = await startValkey({ version, directory }).catch(() => undefined);
    await server?.kill();
    return server !== undefined;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** A server that ends with its scope. */
export async function started(version: Release): Promise<ValkeyServer & AsyncDisposable> {
  const server = await startValkey({ version });
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.kill() });
}
