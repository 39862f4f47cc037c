import type { Instance } from "../shared/backup/backup.ts";
import { compare, compareFiles } from "../shared/backup/comparison.ts";
import { later } from "../shared/backup/duration.ts";
import { parseInstanceName } from "../shared/backup/name.ts";
import type { Operation, ReplayFile, RestorePlan } from "../shared/backup/operation.ts";
import { tornTails } from "../shared/backup/replay.ts";
import type { ServerIdentity } from "../shared/backup/server-identity.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import type { Ports, Replayer, ReplayLog, ReplayMark, Server } from "../shared/pipeline/ports.ts";
import { Postponed } from "../shared/pipeline/postpone.ts";
import { step, type Work } from "../shared/pipeline/step.ts";
import { takeServer, takeTarget } from "../shared/pipeline/take-target.ts";
import { beginParts } from "./after-parts.ts";

/** When a target that is in use is looked at again, in seconds. */
const patience = 60;

type ReplayWork = Work<"replay.v1.requested">;

/**
 * Replays the commands of an AOF into a target, each exactly once. From the first message to the last a mark in the target says how
 * far it is: it is put down before anything is loaded, moves with the commands, and is taken away in a message of its own, so that
 * a target without it has lost data. What can be compared is: the base before the first command, and every reply.
 */
export const replay = step<"replay.v1.requested", number>({
  on: "replay.v1.requested",
  goesOn: true,
  isUnattended: (request) => (request as Partial<ReplayWork["data"]>).phase === "ABANDON",

  async admit({ data: { instance, phase, operation } }, change) {
    if (phase !== "ABANDON") return;
    const abandoned = await change.read<Operation>(operation ?? change.operation.name);
    await takeOnceFree(change, instance, abandoned?.plan?.target ?? { ids: [] });
  },

  async run(work, ports, signal) {
    const { instance, phase, operation = work.operation } = work.data;
    const [request, target] = await Promise.all([
      ports.store.get<Operation>(operation),
      ports.store.get<Instance>(instance),
    ]);
    const plan = request?.data.plan;
    if (plan === undefined || target === undefined)
      throw new StatusError("NOT_FOUND", `${instance} or the plan of ${work.operation} is gone`);
    if (phase === "BEGIN") await begin(work, target.data, plan, ports, signal);
    if (phase === "RUN") await carryOut(work, target.data, plan, ports, signal);
    if (phase !== "END" && phase !== "ABANDON") return 0;
    await ports.valkey.endReplay(target.data, replayerOf(work), signal);
    return keysIn(await ports.valkey.describe(target.data, signal));
  },

  async commit({ data: { instance, phase, operation } }, keys, change) {
    if (operation !== undefined) return await change.end({ response: { instance, abandoned: operation } });
    const { plan } = change.operation;
    if (plan === undefined) throw new StatusError("ABORTED", `${change.operation.name} has no plan`);
    if (phase === "BEGIN") return beginParts(change, instance, plan);
    if (phase === "RUN") return change.ask("replay.v1.requested", { instance, phase: "END" }, "end");
    change.say("instance.v1.restored", { instance, source: plan.source });
    await change.end({ response: responseOf(instance, plan, keys) });
  },
});

/**
 * Takes a target for as long as it takes to let its keys expire again. Where somebody else has begun to write there, who may have
 * suspended expiry for good reason, that waits.
 */
async function takeOnceFree(change: Change, instance: string, target: ServerIdentity): Promise<void> {
  try {
    await takeTarget(change, parseInstanceName(instance));
    await takeServer(change, instance, target);
  } catch (error) {
    if (asStatusError(error).code !== "FAILED_PRECONDITION") throw error;
    throw new Postponed(later(change.now, patience), asStatusError(error).message);
  }
}

/** Each phase counts its attempts anew: one of a later phase comes after all of an earlier one. */
const firstEpochs = { BEGIN: 0, RUN: 1_000_000, END: 2_000_000, ABANDON: 3_000_000 };

const replayerOf = (work: ReplayWork): Replayer => ({
  operation: (work.data.operation ?? work.operation).slice("operations/".length),
  epoch: firstEpochs[work.data.phase] + work.epoch,
  confirm: () => work.renew(),
});

async function begin(work: ReplayWork, target: Instance, plan: RestorePlan, { valkey }: Ports, signal: AbortSignal) {
  const isSuspended = await valkey.beginReplay(target, replayerOf(work), signal);
  if (plan.target.suspendsExpiry && !isSuspended)
    throw new StatusError(
      "PERMISSION_DENIED",
      `${target.name} lets nobody suspend expiry, and keys that the AOF kept would be lost: grant +config|set`,
    );
}

async function carryOut(
  work: ReplayWork,
  target: Instance,
  plan: RestorePlan,
  { valkey, objects }: Ports,
  signal: AbortSignal,
): Promise<void> {
  const { replays = [] } = plan;
  const replayer = replayerOf(work);
  const hasBegun = async () => (await valkey.replayMark(target, replayer.operation, signal))?.log !== 0;
  if (!(await hasBegun())) {
    const found = await valkey.describe(target, signal);
    // What an earlier attempt had sent may have been carried out only now: that one has compared.
    if (!(await hasBegun())) compareBase(plan, found, target.name);
  }
  const totalBytes = replays.reduce((sum, log) => sum + log.endOffset - log.startOffset, 0);
  const logs = replays.map(
    (log): ReplayLog => ({
      ...log,
      read: (range, reading) => objects.read(log, { ...range, fleeting: true }, reading),
    }),
  );
  const options = {
    ...replayer,
    isSuspended: plan.target.suspendsExpiry === true && [...plan.files, ...replays].some(({ expires }) => expires > 0),
    onProgress: (at: ReplayMark) => work.progress(doneBytes(replays, at), totalBytes),
  };
  await valkey.replay(target, logs, options, signal);
}

/** Before the first command the target holds exactly the base, and the mark. */
function compareBase(plan: RestorePlan, found: Server, name: string): void {
  const { keys = 1, expires = 0 } = found.databases["0"] ?? {};
  const { "0": _, ...others } = found.databases;
  const databases = keys > 1 ? { ...others, "0": { keys: keys - 1, expires } } : others;
  const complaints = [...compareFiles(plan), ...compare(plan, { ...found, databases })];
  if (complaints.length === 0) return;
  const message = `${name} is not as the base was loaded: ${complaints.join("; ")}. Empty it and restore again`;
  throw new StatusError("DATA_LOSS", message);
}

/** Of all logs, up to the mark. */
function doneBytes(replays: readonly ReplayFile[], { log, offset }: ReplayMark): number {
  const before = replays.slice(0, log - 1).reduce((sum, file) => sum + file.endOffset - file.startOffset, 0);
  return before + offset - (replays[log - 1]?.startOffset ?? 0);
}

const keysIn = ({ databases }: Server): number =>
  Object.values(databases).reduce((total, database) => total + database.keys, 0);

/** Keys as they were counted in the target; what an AOF should come to nobody has counted. */
function responseOf(instance: string, { replays = [], loaded }: RestorePlan, keys: number) {
  const sum = (of: (log: ReplayFile) => number): number => replays.reduce((total, log) => total + of(log), 0);
  return {
    instance,
    keys,
    commands: sum(({ commands }) => commands),
    tornBytes: sum((log) => log.sizeBytes - log.endOffset),
    ...(tornTails(replays).length > 0 && { torn: tornTails(replays).join("; ") }),
    sizeBytes:
      loaded.reduce((total, file) => total + file.sizeBytes, 0) + sum((log) => log.endOffset - log.startOffset),
  };
}
