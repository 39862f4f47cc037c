import type { Backup, BackupFile, Instance } from "../shared/backup/backup.ts";
import { laneKey } from "../shared/backup/lane.ts";
import { isComplete, withFile } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import { step } from "../shared/pipeline/step.ts";
import { takeShard } from "./shard.ts";

/** How far a delivery came: the files that are there, and the shards that are still to be taken. */
interface Course {
  files: BackupFile[];
  rest: number[];
}

/**
 * Takes the shards of a lane, one after the other, as far as its delivery's time goes, and asks for the rest. The commit that
 * completes the set asks for the seal.
 */
export const snapshot = step<"shard.v1.requested", Course>({
  on: "shard.v1.requested",

  async run(work, ports, signal) {
    const { instance, shards } = work.data;
    const source = await ports.store.get<Instance>(instance);
    if (source === undefined) throw new StatusError("NOT_FOUND", `${instance} was deleted meanwhile`);
    const files: BackupFile[] = [];
    let doneBytes = 0;
    let longest = 0;
    for (const shard of shards) {
      if (files.length > 0 && work.timeLeft() < 2 * longest) break;
      const begun = work.timeLeft();
      const onBytes = (bytes: number) => work.progress(doneBytes + bytes);
      const file = await takeShard({ work, instance: source.data, task: { shard }, onBytes }, ports, signal);
      if (file === "UNFINISHED") break;
      files.push(file);
      doneBytes += file.sizeBytes;
      longest = Math.max(longest, begun - work.timeLeft());
    }
    return { files, rest: shards.slice(files.length) };
  },

  async commit({ data }, { files, rest }, change) {
    const draft = await change.read<Backup>(data.backup);
    if (draft === undefined) throw new StatusError("ABORTED", `${data.backup} is gone`);
    const grown = files.reduce(withFile, draft);
    change.put(data.backup, grown);
    const lane = { ...data, shards: rest, round: (data.round ?? 0) + 1 };
    if (rest.length > 0) change.ask("shard.v1.requested", lane, laneKey(lane));
    else if (isComplete(grown)) change.ask("seal.v1.requested", { backup: data.backup });
  },
});
