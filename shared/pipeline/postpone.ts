import { later, timeOf } from "../backup/duration.ts";
import type { Operation, Task } from "../backup/operation.ts";
import type { Claim } from "./claim.ts";
import { commit, finished, type Outgoing } from "./commit.ts";
import type { Ports } from "./ports.ts";

/**
 * Thrown by `admit`: not now. Whatever that `admit` put down is dropped, so nothing is held meanwhile. The message is
 * acknowledged, the attempt does not count, and `relay` brings the Task again at `until`.
 */
export class Postponed extends Error {
  /** RFC 3339. */
  readonly until: string;
  /** Whether the Operation has to be done by the same deadline as before; else that moves by as much. */
  readonly keepsDeadline: boolean;

  constructor(until: string, reason: string, { keepsDeadline = false } = {}) {
    super(reason);
    this.name = "Postponed";
    this.until = until;
    this.keepsDeadline = keepsDeadline;
  }
}

/** Thrown by `admit`: another Operation does what this one waited to do. It ends well, and says which that is. */
export class Superseded extends Error {
  /** `operations/{operationId}` */
  readonly by: string;

  constructor(by: string) {
    super(`superseded by ${by}`);
    this.name = "Superseded";
    this.by = by;
  }
}

/** Records that a step made way, in one batch. Answers what to publish; `undefined` where the Operation has ended meanwhile. */
export async function makeWay(
  why: Postponed | Superseded,
  claimed: Claim,
  ports: Ports,
): Promise<Outgoing | undefined> {
  if (why instanceof Superseded)
    return await commit(claimed, ports, finished, (change) => change.end({ response: { supersededBy: why.by } }));
  return await commit(
    claimed,
    ports,
    (task) => waiting(task, why.until, claimed, timeOf(ports.clock.now())),
    async (change) => postpone(change.operation, why, change.now),
  );
}

/** The Task as if it had not been claimed, but for its epoch: an older holder stays fenced off. */
function waiting(task: Task, until: string, claimed: Claim, now: string): Task {
  const { attempt, lease } = claimed.task;
  return { ...task, attempt: attempt - 1, lease: { ...lease, expireTime: now }, relayTime: until };
}

/** Written again, by a duplicate or after an answer was lost, it moves the deadline no further. */
function postpone(operation: Operation, { until, message, keepsDeadline }: Postponed, now: string): void {
  const before = operation.postponed?.until ?? now;
  const from = before > now ? before : now;
  const wait = Math.max(0, (Date.parse(until) - Date.parse(from)) / 1000);
  operation.postponed = { until, reason: message };
  if (!keepsDeadline) operation.deadlineTime = later(operation.deadlineTime, wait);
}
