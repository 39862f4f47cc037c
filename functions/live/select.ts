import type { Instance } from "../../shared/backup/backup.ts";
import { timeOf } from "../../shared/backup/duration.ts";
import { keyPattern } from "../../shared/backup/key-pattern.ts";
import { instanceName } from "../../shared/backup/name.ts";
import type { RestoreFile } from "../../shared/backup/operation.ts";
import {
  firstMark,
  nothingFound,
  nothingMerged,
  type Selection,
  type SelectionFile,
} from "../../shared/backup/selection.ts";
import { parsePattern } from "../../shared/backup/undo-list.ts";
import { StatusError } from "../../shared/error.ts";
import type { Objects, Ports } from "../../shared/pipeline/ports.ts";
import { registered } from "../../shared/pipeline/registered.ts";
import { step } from "../../shared/pipeline/step.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { assertFree, assertServerFree, takeServer, takeTarget } from "../../shared/pipeline/take-target.ts";
import { RdbReader } from "../../shared/rdb/reader.ts";
import { sourcesAt } from "../aof-source.ts";
import { pin, targetIn } from "../restore.ts";
import { filesOf } from "../source.ts";

/** What a server writes of itself at the beginning of a file fits this many times over. */
const headBytes = 4096;

/** The largest object that is taken for one with a pattern. */
const largestPattern = 65_536;

/** A restore of the keys of a pattern into a live instance: fixes what it is about, then has it compared. */
export const select = step<"selection.v1.requested", Selection>({
  on: "selection.v1.requested",
  goesOn: true,

  async admit({ data: { instance, backup, execute = false } }, change) {
    if (execute) await takeTarget(change, instance);
    else await assertFree(change, change.operation.dryRunTarget ?? (await registered(change, instance)));
    if (backup !== undefined) await pin(change, backup);
  },

  async run(work, ports, signal) {
    const { data, operation } = work;
    const { objects, store, valkey, settings } = ports;
    const { instance, backup, gcsSourceUris = [], selection, database } = data;
    const stored = await objects.stat(settings.vaultBucket, selection);
    if (stored === undefined)
      throw new StatusError("NOT_FOUND", `there is no gs://${settings.vaultBucket}/${selection}`);
    const pattern = { object: selection, generation: stored.generation };
    await takesOf(pattern, ports);
    const { files: found, logs } =
      backup === undefined
        ? await sourcesAt(gcsSourceUris, work, ports, signal)
        : { ...(await filesOf(backup, ports, signal)), logs: [] };
    if (logs.length > 0)
      throw new StatusError(
        "FAILED_PRECONDITION",
        "single keys are found in RDB files, not in the commands of an AOF: restore it whole into an empty instance first",
      );
    const files = found.map(({ file }) => file);
    const target = await targetIn(operation, instance, store);
    const { ids, formerIds } = await valkey.describe(target, signal);
    const cut: Selection["files"] = [];
    for (const file of files) cut.push(await dated(file, objects, signal));
    return {
      source: backup ?? gcsSourceUris.join(" "),
      files: cut,
      pattern,
      database: database ?? onlyDatabase(files, target),
      target: { uid: target.uid, endpoint: target.endpoint, ids, ...(formerIds && { formerIds }) },
      mark: firstMark,
      found: nothingFound,
      merged: nothingMerged,
    };
  },

  async commit({ data: { instance, execute = false } }, selection, change) {
    await (execute ? takeServer : assertServerFree)(change, instanceName(instance), selection.target);
    change.operation.selection = selection;
    change.ask("matching.v1.requested", { instance: instanceName(instance), round: 0 }, 0);
  },
});

/** The pattern of a selection, ready to be asked. INVALID_ARGUMENT: it is none. DATA_LOSS: the object holds something else. */
export async function takesOf({ object, generation }: Selection["pattern"], { objects, settings }: Ports) {
  const bucket = settings.vaultBucket;
  const bytes = await collect(objects.read({ bucket, object, generation }, { start: 0, end: largestPattern }));
  return keyPattern(parsePattern(bytes, object));
}

/** Where the files use several databases it has to be said which one is meant. */
function onlyDatabase(files: readonly RestoreFile[], { mode }: Instance): number {
  const used = [...new Set(files.flatMap(({ databases }) => Object.keys(databases)))].map(Number);
  const [only = 0, ...more] = used.sort((a, b) => a - b);
  if (more.length === 0) return only;
  if (mode === "CLUSTER") return 0;
  throw new StatusError("FAILED_PRECONDITION", `the files use databases ${used.join(", ")}: --db says which is meant`);
}

/**
 * All that is kept of a file, with the time when its data was what it says: when its server began to write it, as that says itself,
 * or when it was stored. No file was cut after it was stored, whatever it says.
 */
async function dated(file: RestoreFile, objects: Objects, signal: AbortSignal): Promise<SelectionFile> {
  const { bucket, object, generation, sizeBytes, magic, rdbVersion, moduleTypes } = file;
  const reader = new RdbReader({ entries: true });
  for await (const chunk of objects.read(file, { start: 0, end: headBytes }, signal)) reader.write(chunk);
  const told = Number(reader.aux.ctime ?? Number.NaN) * 1000;
  const stored = (await objects.stat(bucket, object))?.createTime;
  if (stored === undefined) throw new StatusError("DATA_LOSS", `gs://${bucket}/${object} is gone`);
  const snapshotTime = told > 0 && told < Date.parse(stored) ? timeOf(told) : stored;
  return { bucket, object, generation, sizeBytes, magic, rdbVersion, moduleTypes, snapshotTime };
}
