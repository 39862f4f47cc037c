import { createHash } from "node:crypto";
import { timeOf } from "../backup/duration.ts";
import type { Operation, Task } from "../backup/operation.ts";
import { StatusError } from "../error.ts";
import { Change, type OutboxEntry } from "./change.ts";
import type { Claim } from "./claim.ts";
import { isUnsettled } from "./failure.ts";
import { isHeldBy, lost } from "./lease.ts";
import type { Doc, Ports } from "./ports.ts";

export type Outgoing = { id: string; entry: OutboxEntry }[];

/** For how long a commit is decided anew before the delivery gives up and comes again, in milliseconds. */
const patience = 60_000;

/** Milliseconds before a round; spread by Task, or the members of a set would meet again at every round. */
function pauseBefore(round: number, taskPath: string): number {
  const spread = createHash("sha256").update(`${taskPath} ${round}`).digest().readUInt32BE() / 2 ** 32;
  return 20 + spread * Math.min(50 * 2 ** round, 10_000);
}

/**
 * Writes what a step decides, in one batch with its Task and Operation, if the claim still holds. `decide` is called
 * again whenever what it read has changed, and after an unknown answer, unless the Task shows that the write went through.
 * `makes` is what becomes of the Task. Answers what to publish; `undefined` where the Operation has ended meanwhile:
 * then nothing was written.
 */
export async function commit(
  claim: Claim,
  ports: Ports,
  makes: (task: Task) => Task,
  decide: (change: Change) => Promise<void>,
): Promise<Outgoing | undefined> {
  const { store, clock } = ports;
  let sent: Outgoing = [];
  let last: unknown;
  const started = clock.monotonic();
  for (let round = 0; clock.monotonic() - started < patience; round++) {
    if (round > 0) await clock.sleep(pauseBefore(round, claim.taskPath));
    const [operation, task] = (await store.getAll([claim.operationPath, claim.taskPath])) as [
      Doc<Operation>?,
      Doc<Task>?,
    ];
    if (operation === undefined || !isHeldBy(task, claim.task.lease)) throw lost(claim.taskPath);
    if (task.data.done) return sent;
    if (operation.data.done) return undefined;
    const change = new Change(store, timeOf(clock.now()), operation);
    change.adopt(claim.taskPath, task);
    change.put(claim.taskPath, makes(task.data));
    await decide(change);
    sent = change.outgoing();
    try {
      await store.commit(change.writes());
      return sent;
    } catch (error) {
      if (!isUnsettled(error)) throw error;
      last = error;
    }
  }
  throw new StatusError("ABORTED", `${claim.taskPath} could not be committed in ${patience / 1000} s`, { cause: last });
}

/** The Task, done. */
export function finished({
  progress: _progress,
  gain: _gain,
  relayTime: _relayTime,
  error: _error,
  ...task
}: Task): Task {
  return { ...task, done: true };
}
