import type { Instance, Seed } from "../shared/backup/backup.ts";
import { refusalOf } from "../shared/backup/check.ts";
import { instanceIdOf, instanceName } from "../shared/backup/name.ts";
import type { Operation } from "../shared/backup/operation.ts";
import { assertReadable } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import { existing } from "../shared/pipeline/existing.ts";
import type { Ports } from "../shared/pipeline/ports.ts";
import { registered } from "../shared/pipeline/registered.ts";
import { step } from "../shared/pipeline/step.ts";
import { assertFree, assertServerFree, takeServer, takeTarget } from "../shared/pipeline/take-target.ts";
import { beginParts } from "./after-parts.ts";
import { sourcesAt } from "./aof-source.ts";
import { type Examined, examine, mostSeeds } from "./examine.ts";
import { filesOf, placesOf } from "./source.ts";

/** A restore that somebody asked for: of a backup, or of RDB files or an AOF in a bucket. A dry run of it ends with its checks. */
export const restore = step<"restore.v1.requested", Examined>({
  on: "restore.v1.requested",
  goesOn: true,

  async admit({ data: { instance, backup, dryRun } }, change) {
    if (dryRun) await assertFree(change, change.operation.dryRunTarget ?? (await registered(change, instance)));
    else await takeTarget(change, instance);
    if (backup !== undefined) await pin(change, backup);
  },

  async run(work, ports, signal) {
    const { instance, backup, gcsSourceUris = [], allowShrink = false, strict, maxParallelLoads } = work.data;
    const { files, wanted, logs } =
      backup === undefined
        ? { ...(await sourcesAt(gcsSourceUris, work, ports, signal)), wanted: undefined }
        : { ...(await filesOf(backup, ports, signal)), logs: [] };
    const name = backup ?? gcsSourceUris.join(" ");
    const source = { name, files, logs, wanted, allowShrink, isStrict: strict, maxParallelLoads };
    return await examine(await targetIn(work.operation, instance, ports.store), source, ports, signal);
  },

  async commit({ data: { instance, dryRun = false } }, examined, change) {
    await conclude(change, instance, examined, dryRun);
  },
});

/** A restore that a file in the inbox asks for: its first folder names the instance. */
export const restoreLanded = step<"object.v1.finalized", Examined>({
  on: "object.v1.finalized",

  async admit({ data: { bucket, object } }, change, { settings }) {
    await takeTarget(change, targetNamedBy(bucket, object, settings.inboxBucket));
  },

  async run(work, ports, signal) {
    const { bucket, object, generation } = work.data;
    const instanceId = targetNamedBy(bucket, object, ports.settings.inboxBucket);
    const name = `gs://${bucket}/${object}`;
    const [place] = await placesOf([name], ports.objects);
    if (place?.generation !== generation)
      throw new StatusError("FAILED_PRECONDITION", `${name} was replaced since: what is there now asks for itself`);
    const sources = await sourcesAt([name], work, ports, signal);
    const source = { name, ...sources, wanted: undefined, allowShrink: false };
    return await examine(await targetIn(work.operation, instanceId, ports.store), source, ports, signal);
  },

  async commit({ data: { bucket, object } }, examined, change, { settings }) {
    await conclude(change, targetNamedBy(bucket, object, settings.inboxBucket), examined, false);
  },
});

/** Keeps a backup from being erased while the Operation reads it; refuses one that is not whole. */
export async function pin(change: Change, backup: string): Promise<void> {
  const found = await existing(change, backup);
  assertReadable(found);
  const { name } = change.operation;
  if (!found.pins.includes(name)) change.put(backup, { ...found, pins: [...found.pins, name] });
  change.hold({ kind: "pin", path: backup });
}

/** `orders/anything.rdb` and `orders/anything.aof` in the inbox name the instance `orders`; anything else is refused. */
function targetNamedBy(bucket: string, object: string, inbox: string): string {
  const shown = `gs://${bucket}/${object.slice(0, 200)}`;
  if (bucket !== inbox) throw new StatusError("FAILED_PRECONDITION", `${shown} is not in the inbox gs://${inbox}`);
  const [folder = "", ...rest] = object.split("/");
  const isOrdinary = rest.length > 0 && rest.every((part) => part !== "" && part !== "." && part !== "..");
  if (isOrdinary && /\.\d+\.(base|incr)\.(rdb|aof)$/.test(object))
    throw new StatusError("FAILED_PRECONDITION", `${shown} is one file of an AOF: restore all of it by its manifest`);
  if (!isOrdinary || !/[^/]\.(rdb|aof)$/.test(object))
    throw new StatusError("FAILED_PRECONDITION", `${shown} is not restored: expected INSTANCE/NAME.rdb, or NAME.aof`);
  try {
    return instanceIdOf(folder);
  } catch (cause) {
    throw new StatusError("FAILED_PRECONDITION", `${shown} is not restored: its folder is no instance id`, { cause });
  }
}

/** The instance to restore into: the registered one, or the one that a dry run brought with it. */
export async function targetIn(operation: string, instanceId: string, store: Ports["store"]): Promise<Instance> {
  const brought = (await store.get<Operation>(operation))?.data.dryRunTarget;
  const instance = brought ?? (await store.get<Instance>(instanceName(instanceId)))?.data;
  if (instance === undefined) throw new StatusError("NOT_FOUND", `${instanceName(instanceId)} was deleted meanwhile`);
  return instance;
}

/** Ends what the checks refuse, and a dry run; else the parts are next. */
async function conclude(
  change: Change,
  instanceId: string,
  { checks, plan, seeds }: Examined,
  isDry: boolean,
): Promise<void> {
  const instance = instanceName(instanceId);
  // Before the checks: the keys that are there may be those of the other restore.
  await (isDry ? assertServerFree : takeServer)(change, instance, plan.target);
  const refusal = refusalOf(checks);
  change.operation.checks = checks;
  if (refusal !== undefined) {
    const message = `${instance} cannot take this restore: ${refusal}`;
    return await change.end({ error: { code: "FAILED_PRECONDITION", message }, isRefusal: true });
  }
  if (isDry) return await change.end({ response: { instance, checks: checks.length } });
  change.operation.plan = plan;
  if (seeds.length > 0) await remember(change, instance, seeds);
  if (plan.replays === undefined) return beginParts(change, instance, plan);
  change.hold({ kind: "replay", path: instance });
  change.ask("replay.v1.requested", { instance, phase: "BEGIN" }, "begin");
}

/** The endpoint of a cluster may die while it is restored: whoever goes on asks these nodes, and those that were found before. */
async function remember(change: Change, name: string, found: Seed[]): Promise<void> {
  const instance = await change.read<Instance>(name);
  if (instance === undefined) return;
  const older = (instance.seeds ?? []).filter(({ node }) => found.every((seed) => seed.node !== node));
  change.put(name, { ...instance, seeds: [...found, ...older].slice(0, mostSeeds) });
}
