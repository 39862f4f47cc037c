import "../../functions/tenure.ts";
import { createReadStream, fsyncSync, openSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileSource } from "../../infra/cli/file-source.ts";
import type { Backup, RdbFacts } from "../../shared/backup/backup.ts";
import { newInstance } from "../../shared/backup/instance.ts";
import { backupName } from "../../shared/backup/name.ts";
import { decideAll } from "../../shared/pipeline/catalogue.ts";
import { check, checked } from "../../shared/rdb/check.ts";
import { factsOf } from "../../shared/rdb/facts.ts";
import { createValkey } from "../../shared/valkey/index.ts";
import { peakOf } from "./peak.ts";

/**
 * One job of ours, without the pipeline around it, in a process of its own, as the programs that it is compared with:
 * `job.ts check FILE`, `job.ts snapshot ENDPOINT [FILE]`, `job.ts scan ENDPOINT [FILE]`, `job.ts load ENDPOINT FILE FACTS.json`, `job.ts decide INSTANCES
 * BACKUPS`, `job.ts plan ENDPOINT`, `job.ts cluster-backup ENDPOINT`. Prints what it measured as JSON.
 */
export interface Measured<T> {
  result: T;
  /** Of the job alone, without the start-up of the process. */
  seconds: number;
  cpuSeconds: number;
  peakBytes: number;
}

const calm = new AbortController().signal;
const valkey = createValkey({ resolveSecret: () => Promise.reject(new Error("there is no secret here")) });

/** Of a load, the only one. */
const firstAttempt = {
  operation: "bench",
  part: 0,
  epoch: 1,
  confirm: async () => undefined,
  replace: false,
  now: () => Date.now(),
  withFunctions: true,
};

const jobs: Record<string, (...args: string[]) => Promise<unknown>> = {
  check: async (file = "") => factsOf(await check(fileSource(file, calm))),

  snapshot: (endpoint = "", file) => written(valkey.snapshot(instanceAt(endpoint), { shard: 0 }, calm), file),

  scan: (endpoint = "", file) =>
    written(
      valkey.scan(instanceAt(endpoint), { shard: 0 }, { isTimeUp: () => false, onEnd: () => undefined }, calm),
      file,
    ),

  async load(endpoint = "", file = "", factsFile = "") {
    const facts = JSON.parse(await readFile(factsFile, "utf8")) as RdbFacts;
    const read = ({ start, end = Number.POSITIVE_INFINITY }: { start: number; end?: number }) =>
      createReadStream(file, { start, end: end - 1, highWaterMark: 1 << 20 });
    return await valkey.load(instanceAt(endpoint), { facts, read }, firstAttempt, calm);
  },

  /** How many shards a cluster has; every node of it is asked. */
  async plan(endpoint = "") {
    const layout = await valkey.plan(instanceAt(endpoint, "cluster"), calm);
    return layout.shards.length;
  },

  /** What a backup of a cluster uses, through every function of it. */
  async "cluster-backup"(endpoint = "") {
    const { createStage } = await import("./fleet/stage.ts");
    const { ports, run } = createStage();
    Object.assign(ports.valkey, valkey);
    const instance = instanceAt(endpoint, "cluster");
    await ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
    const usage = await run("backup.v1.requested", { instance: "bench", backupId: "whole" });
    const backup = await ports.store.get<Backup>(backupName("bench", "whole"));
    if (backup?.data.state !== "ACTIVE") throw new Error("the backup is not ACTIVE");
    return usage;
  },

  /** How many backups of a fleet a sweep that looks at everything would keep, expire and so on. */
  async decide(instances = "", backups = "") {
    const { createFleetStore } = await import("./fleet/store.ts");
    const now = "2026-11-21T12:00:00.000Z";
    const store = createFleetStore(Number(instances), Number(backups), now);
    const counts: Record<string, number> = {};
    for await (const decisions of decideAll(store, now, calm))
      for (const { action } of decisions) counts[action] = (counts[action] ?? 0) + 1;
    return counts;
  },
};

/** Checks a snapshot on its way to a file, or to nowhere; answers its size. */
async function written(stream: AsyncIterable<Uint8Array>, file: string | undefined): Promise<number> {
  const output = file === undefined ? undefined : openSync(file, "w");
  let sizeBytes = 0;
  for await (const chunk of checked(stream)) {
    if (output !== undefined) writeFileSync(output, chunk);
    sizeBytes += chunk.length;
  }
  // As `valkey-cli --rdb` does, which writes synchronously too.
  if (output !== undefined) fsyncSync(output);
  return sizeBytes;
}

function instanceAt(endpoint: string, mode?: string) {
  return newInstance({ id: "bench", endpoint, location: "local", mode }, "1", new Date().toISOString());
}

const [name = "", ...args] = process.argv.slice(2);
const job = jobs[name];
if (job === undefined) throw new Error(`there is no job ${name}`);
const begin = performance.now();
const result = await job(...args);
const seconds = (performance.now() - begin) / 1000;
const { user, system } = process.cpuUsage();
const measured: Measured<unknown> = {
  result,
  seconds,
  cpuSeconds: (user + system) / 1e6,
  peakBytes: peakOf("self") ?? 0,
};
console.log(JSON.stringify(measured));
