import { timeOf } from "../backup/duration.ts";
import type { Operation, Task } from "../backup/operation.ts";
import { asStatusError, StatusError } from "../error.ts";
import { Change, type OutboxEntry } from "./change.ts";
import type { Claim } from "./claim.ts";
import { isHeldBy, lost } from "./lease.ts";
import type { Doc, Ports } from "./ports.ts";

export type Outgoing = { id: string; entry: OutboxEntry }[];

/** How often a commit is decided anew before the delivery gives up and comes again. */
const rounds = 20;

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
  for (let round = 0; round < rounds; round++) {
    if (round > 0) await clock.sleep(20 * round);
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
      const { code } = asStatusError(error);
      if (code !== "ABORTED" && code !== "UNKNOWN" && code !== "UNAVAILABLE") throw error;
      last = error;
    }
  }
  throw new StatusError("ABORTED", `${claim.taskPath} could not be committed in ${rounds} rounds`, { cause: last });
}

/** The Task, done. */
export function finished({ progress: _progress, relayTime: _relayTime, error: _error, ...task }: Task): Task {
  return { ...task, done: true };
}
