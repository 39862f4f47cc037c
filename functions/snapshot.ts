import type { Backup, BackupFile, Instance } from "../shared/backup/backup.ts";
import { laneKey } from "../shared/backup/lane.ts";
import { isComplete, withFile } from "../shared/backup/transition.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { Ports } from "../shared/pipeline/ports.ts";
import { step, type Work } from "../shared/pipeline/step.ts";
import { verdictOn } from "../shared/pipeline/verdict.ts";
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
    work.progress(0, undefined, JSON.stringify(course.avoid));
    await work.renew();
    throw course.failure;
  },

  async commit({ data, lastError }, { files, rest, avoid, failure }, change) {
    const draft = await change.read<Backup>(data.backup);
    if (draft === undefined) throw new StatusError("ABORTED", `${data.backup} is gone`);
    const grown = files.reduce(withFile, draft);
    change.put(data.backup, grown);
    for (const error of [lastError, failure]) if (error !== undefined) change.tell(error);
    const lane = { ...data, shards: rest, round: (data.round ?? 0) + 1, avoid };
    if (rest.length > 0) change.ask("shard.v1.requested", lane, laneKey(lane));
    else if (isComplete(grown)) change.ask("seal.v1.requested", { backup: data.backup });
  },
});

/** Goes along the lane until it ends, time is short, or a shard fails that may do better at another time. */
async function along(work: Work<"shard.v1.requested">, ports: Ports, signal: AbortSignal): Promise<Course> {
  const { backup, instance: name, shards } = work.data;
  const [instance, draft] = [await ports.store.get<Instance>(name), await ports.store.get<Backup>(backup)];
  if (instance === undefined) throw new StatusError("NOT_FOUND", `${name} was deleted meanwhile`);
  const avoid = new Set<string>([...(work.data.avoid ?? []), ...avoided(work.resume)]);
  const files: BackupFile[] = [];
  const course = (failure?: StatusError): Course => ({
    files,
    rest: shards.slice(files.length),
    avoid: [...avoid],
    ...(failure !== undefined && { failure }),
  });
  let doneBytes = 0;
  let longest = 0;
  for (const shard of shards) {
    const begun = work.timeLeft();
    if (files.length > 0 && begun < 2 * longest) break;
    let node: string | undefined;
    const taking = {
      work,
      instance: instance.data,
      task: { ...draft?.data.shards?.[shard], shard, avoid: [...avoid] },
      onSource: (source: { node?: string }) => {
        node = source.node;
      },
      onBytes: (bytes: number) => work.progress(doneBytes + bytes),
    };
    try {
      const file = await takeShard(taking, ports, signal);
      if (file === "UNFINISHED") break;
      files.push(file);
      doneBytes += file.sizeBytes;
      longest = Math.max(longest, begun - work.timeLeft());
    } catch (thrown) {
      const error = asStatusError(thrown);
      if (signal.aborted || verdictOn(error) !== "retry") throw thrown;
      if (node !== undefined) avoid.add(node);
      return course(error);
    }
  }
  return course();
}

/** The nodes that an earlier attempt wants avoided. */
const avoided = (resume: string | undefined): string[] => (resume === undefined ? [] : JSON.parse(resume));
