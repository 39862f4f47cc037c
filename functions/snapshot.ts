import type { Backup, BackupFile, Instance } from "../shared/backup/backup.ts";
import { laneKey } from "../shared/backup/lane.ts";
import { isComplete, withFile } from "../shared/backup/transition.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import { prolonged } from "../shared/pipeline/identity.ts";
import type { Ports, Server } from "../shared/pipeline/ports.ts";
import { step, type Work } from "../shared/pipeline/step.ts";
import { verdictOn } from "../shared/pipeline/verdict.ts";
import { withinTime } from "../shared/pipeline/within-time.ts";
import { takeShard } from "./shard.ts";

/** How far a delivery came: the files that are there, the shards that are still to be taken, and what went wrong with the next. */
interface Course {
  files: BackupFile[];
  rest: number[];
  avoid: string[];
  failure?: StatusError;
}

/**
 * Takes the shards of a lane, one after the other, as far as its delivery's time goes, and asks for the rest. The commit that
 * completes the set asks for the seal.
 */
export const snapshot = step<"shard.v1.requested", Course>({
  on: "shard.v1.requested",

  async run(work, ports, signal) {
    const course = await along(work, ports, signal);
    if (course.failure === undefined || course.files.length > 0) return course;
    // Nothing was won: the message comes again, later each time. What it has to know then is kept with its Task.
    work.progress(0, undefined, resumeOf(course.avoid));
    await work.renew();
    throw course.failure;
  },

  async commit({ data, lastError }, { files, rest, avoid, failure }, change) {
    const draft = await change.read<Backup>(data.backup);
    if (draft === undefined) throw new StatusError("ABORTED", `${data.backup} is gone`);
    const grown = files.reduce(withFile, draft);
    change.put(data.backup, grown);
    for (const error of [lastError, failure]) if (error !== undefined) change.tell(error);
    const lane = { ...data, shards: rest, round: (data.round ?? 0) + 1, avoid: avoid.slice(-mostAvoided) };
    if (rest.length > 0) {
      // What a delivery brings is no reason to give up: a long lane, and a slow scan, take as many as they take.
      change.operation.deadlineTime = prolonged(change.operation, change.now, draft.createTime);
      change.ask("shard.v1.requested", lane, laneKey(lane));
    } else if (isComplete(grown)) change.ask("seal.v1.requested", { backup: data.backup });
  },
});

/** As many as the event takes; the last ones say most. */
const mostAvoided = 100;

/** Of a delivery's time, in milliseconds: what its commit may take, so that what it has won is not lost with it. */
const commitTime = 30_000;

/** Goes along the lane until it ends, time is short, or a shard fails that may do better at another time. */
async function along(work: Work<"shard.v1.requested">, ports: Ports, signal: AbortSignal): Promise<Course> {
  const { shards } = work.data;
  const take = await taker(work, ports);
  const avoid = new Set<string>([...(work.data.avoid ?? []), ...avoided(work.resume)]);
  const files: BackupFile[] = [];
  const rest = (): number[] => shards.slice(files.length);
  let longest = 0;
  for (const shard of shards) {
    const begun = work.timeLeft();
    if (files.length > 0 && begun < 2 * longest) break;
    const attempt = (until: AbortSignal) => take(shard, avoid, files, until);
    try {
      // The first has all the time there is; for the others this delivery is not the last chance.
      const isFirst = files.length === 0;
      const file = await (isFirst ? attempt(signal) : withinTime(ports.clock, begun - commitTime, signal, attempt));
      if (file === "UNFINISHED" || file === "LATE") break;
      files.push(file);
      longest = Math.max(longest, begun - work.timeLeft());
    } catch (thrown) {
      const failure = asStatusError(thrown);
      if (signal.aborted || verdictOn(failure) !== "retry") throw thrown;
      // The others first: by their end its shard may have recovered.
      return { files, rest: [...rest().slice(1), shard], avoid: [...avoid], failure };
    }
  }
  return { files, rest: rest(), avoid: [...avoid] };
}

/** Takes one shard as it was planned. A node that fails while it is read is added to those to avoid. */
async function taker(work: Work<"shard.v1.requested">, ports: Ports) {
  const { backup, instance: name } = work.data;
  const [instance, draft] = [await ports.store.get<Instance>(name), await ports.store.get<Backup>(backup)];
  if (instance === undefined) throw new StatusError("NOT_FOUND", `${name} was deleted meanwhile`);
  if (draft !== undefined) assertUnchanged(instance.data, draft.data);
  const { shards } = draft?.data ?? {};
  const cluster = shards?.flatMap(({ nodes }) => nodes ?? []) ?? [];
  let described: Promise<Server> | undefined;
  const askTime = draft === undefined ? undefined : Date.parse(draft.data.createTime);
  return async (shard: number, avoid: Set<string>, before: readonly BackupFile[], signal: AbortSignal) => {
    const doneBytes = before.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const { slots, node } = shards?.[shard] ?? {};
    const taking = {
      work,
      instance: instance.data,
      task: {
        shard,
        ...(slots !== undefined && { slots }),
        ...(node !== undefined && { node }),
        ...(cluster.length > 0 && { cluster }),
        avoid: [...avoid],
        ...(askTime !== undefined && { askedSecondsAgo: (ports.clock.now() - askTime) / 1000 }),
      },
      describe(until: AbortSignal) {
        described ??= ports.valkey.describe(instance.data, until);
        return described;
      },
      onBroken: (node: string) => avoid.add(node),
      // Whatever ends this attempt: what an earlier one has learnt is not forgotten with it.
      onBytes: (bytes: number) => work.progress(doneBytes + bytes, undefined, resumeOf(avoid)),
    };
    return await takeShard(taking, ports, signal);
  };
}

/** What was planned as one server is one shard of many once the instance is a cluster, and another instance has other keys. */
function assertUnchanged({ name, uid, mode }: Instance, draft: Backup): void {
  if (uid === draft.instanceUid && mode === draft.mode) return;
  throw new StatusError(
    "FAILED_PRECONDITION",
    `${name} was registered anew, or with another mode, since ${draft.name} was planned: take the backup again`,
  );
}

/** What a later attempt has to know: the nodes to avoid. */
const resumeOf = (avoid: Iterable<string>): string => JSON.stringify([...avoid]);

/** The nodes that an earlier attempt wants avoided. */
const avoided = (resume: string | undefined): string[] => (resume === undefined ? [] : JSON.parse(resume));
