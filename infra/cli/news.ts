import type { EventType } from "../../shared/backup/event.ts";
import type { Operation, OperationError, Task } from "../../shared/backup/operation.ts";
import { shortName } from "./names.ts";

/** After so many milliseconds somebody should have taken a Task. */
const patience = 30_000;

const phrases: { readonly [T in EventType]?: string } = {
  "backup.v1.requested": "asking the source",
  "shard.v1.requested": "storing the snapshots",
  "seal.v1.requested": "writing the manifest",
  "export.v1.requested": "copying the files",
  "copy.v1.requested": "copying them onward",
  "retirement.v1.requested": "erasing a copy",
  "sweep.v1.requested": "looking for what is due",
  "deletion.v1.requested": "deleting",
  "undelete.v1.requested": "undeleting",
  "hold.v1.requested": "holding its objects",
  "release.v1.requested": "releasing its objects",
  "expiry.v1.requested": "moving its expiry",
  "erasure.v1.requested": "erasing",
  "dissolution.v1.requested": "looking for what must stay",
  "clearance.v1.requested": "deleting its backups",
  "restore.v1.requested": "checking the files and the target",
  "selection.v1.requested": "checking the backup and the target",
  "matching.v1.requested": "comparing the keys with those of the target",
  "merge.v1.requested": "writing the keys",
  "undo.v1.requested": "taking back what was written",
  "object.v1.finalized": "checking the file and the target",
  "part.v1.requested": "loading",
  "replay.v1.requested": "replaying the commands of the AOF",
  "verification.v1.requested": "comparing the target with what was loaded",
  "rebuild.v1.requested": "reading the manifests",
  "recount.v1.requested": "counting the backups",
  "orphans.v1.requested": "looking for what belongs to no backup",
  "instance.v1.changed": "bringing the schedule in line",
  "reconciliation.v1.requested": "comparing the jobs with the instances",
};

/** What an Operation is at, in words. */
export const phraseOf = (step: string): string => phrases[step as EventType] ?? step;

/** One look at an Operation that goes on. Times are milliseconds: `now` since 1970, `waited` since waiting began. */
export interface Look {
  operation: Operation;
  /** By their ids. */
  tasks: ReadonlyMap<string, Task>;
  now: number;
  waited: number;
}

/** Steps and troubles. */
export interface News {
  kind: "step" | "trouble";
  text: string;
}

/** Tells from look to look what is new: another step, a wait until later, what had to be done again, an attempt that failed, a Task that nobody takes. */
export function createNews(): (look: Look) => News[] {
  let step: string | undefined;
  let hasComplained = false;
  const told = new Set<string>();
  const firstSeen = new Map<string, number>();

  function troubleOf(id: string, task: Task, { now, waited }: Look): string | undefined {
    if (task.done) return undefined;
    if (!firstSeen.has(id)) firstSeen.set(id, waited);
    const failed = failedAttempts(task, now);
    if (task.error !== undefined && failed > 0 && !told.has(`${id} ${failed}`)) {
      told.add(`${id} ${failed}`).add(errorText(task.error));
      return `attempt ${failed} failed, it will be tried again: ${errorText(task.error)}`;
    }
    if (task.attempt > 0 || hasComplained || waited - (firstSeen.get(id) ?? 0) < patience) return undefined;
    hasComplained = true;
    return `nobody has taken ${id} for ${patience / 1000} s: are the functions running?`;
  }

  return (look) => {
    const news: News[] = [];
    const { step: present } = look.operation.progress;
    if (present !== step) news.push({ kind: "step", text: `${shortName(look.operation.name)}: ${phraseOf(present)}` });
    step = present;
    const { postponed } = look.operation;
    if (postponed !== undefined && !told.has(postponed.until)) {
      told.add(postponed.until);
      news.push({ kind: "trouble", text: `postponed until ${postponed.until}: ${postponed.reason}` });
    }
    for (const incident of look.operation.incidents ?? []) {
      // What failed a whole attempt was told with that.
      if (told.has(errorText(incident))) continue;
      told.add(errorText(incident));
      news.push({ kind: "trouble", text: `done again: ${errorText(incident)}` });
    }
    for (const [id, task] of look.tasks) {
      const text = troubleOf(id, task, look);
      if (text !== undefined) news.push({ kind: "trouble", text });
    }
    return news;
  };
}

/** Attempts that have ended: while one runs, the error is that of the one before. */
function failedAttempts({ attempt, lease }: Task, now: number): number {
  const isRunning = lease !== undefined && Date.parse(lease.expireTime) > now;
  return isRunning ? attempt - 1 : attempt;
}

const errorText = ({ code, message }: Pick<OperationError, "code" | "message">): string => `${message} (${code})`;
