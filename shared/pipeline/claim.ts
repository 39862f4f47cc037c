import { timeOf } from "../backup/duration.ts";
import { operationName, taskName } from "../backup/name.ts";
import type { Lease, Operation, Task } from "../backup/operation.ts";
import { StatusError } from "../error.ts";
import type { Envelope } from "./envelope.ts";
import { isUnsettled } from "./failure.ts";
import { inVain } from "./gain.ts";
import { newOperation, prolonged } from "./identity.ts";
import type { Doc, Ports, Write } from "./ports.ts";
import { longestLease, type Timing } from "./timing.ts";

/** A Task that is ours for now. */
export interface Claim {
  operation: Operation;
  task: Task & { lease: Lease };
  operationPath: string;
  taskPath: string;
  /** By the monotonic clock: when the lease that was just written ends at the earliest. */
  leasedUntil: number;
}

/** `done`: nothing is left to do for this message. `later`: somebody alive is at it. */
export type Claimed = Claim | "done" | "later";

/**
 * Takes the lease of a message's Task and raises its epoch. An unknown answer is settled by reading again: the owner
 * is new for each delivery, so the lease is ours exactly if it says so.
 */
export async function claim(
  envelope: Extract<Envelope, { kind: "task" | "request" }>,
  ports: Ports,
  timing: Timing,
): Promise<Claimed> {
  const { store, clock, ids } = ports;
  const operationPath = operationName(envelope.operationId);
  const taskPath = taskName(envelope.operationId, envelope.kind === "task" ? envelope.taskId : envelope.type);
  const owner = ids.uuid();
  let writtenAt = clock.monotonic();
  for (let round = 0; round < 3; round++) {
    const started = clock.monotonic();
    const [operationDoc, taskDoc] = (await store.getAll([operationPath, taskPath])) as [Doc<Operation>?, Doc<Task>?];
    if (operationDoc?.data.done === true || taskDoc?.data.done === true) return "done";
    const now = clock.now();
    const lease = taskDoc?.data.lease;
    const isMine = lease?.owner === owner;
    if (lease !== undefined && !isMine && isAlive(lease, now)) return "later";
    const fresh = begun(envelope, operationDoc, taskDoc, timeOf(now));
    if (fresh === undefined)
      throw new StatusError("NOT_FOUND", `${taskPath} is not there: its operation is older than what is kept`);
    const task = { ...fresh.task, ...(isMine ? {} : leased(fresh.task, owner, now, timing)) };
    const operation = inTime(fresh.operation, fresh.task, timeOf(now));
    const claimed = {
      operation,
      operationPath,
      taskPath,
      leasedUntil: (isMine ? writtenAt : started) + timing.lease,
    };
    if (isMine && task.lease !== undefined) return { ...claimed, task: { ...task, lease: task.lease } };
    const writes: Write[] = [
      taskDoc === undefined
        ? { kind: "create", path: taskPath, data: task }
        : { kind: "put", path: taskPath, data: task, updateTime: taskDoc.updateTime },
    ];
    if (operationDoc === undefined) writes.push({ kind: "create", path: operationPath, data: operation });
    else if (operation.deadlineTime !== operationDoc.data.deadlineTime)
      writes.push({ kind: "put", path: operationPath, data: operation, updateTime: operationDoc.updateTime });
    writtenAt = started;
    try {
      await store.commit(writes);
      if (task.lease !== undefined) return { ...claimed, task: { ...task, lease: task.lease } };
    } catch (error) {
      if (!isUnsettled(error)) throw error;
    }
  }
  return "later";
}

/** A lease that ends later than any could be given now was written by a clock that went wrong: it holds nobody up. */
function isAlive({ expireTime }: Lease, now: number): boolean {
  const left = Date.parse(expireTime) - now;
  return left > 0 && left <= 2 * longestLease;
}

function begun(
  envelope: Extract<Envelope, { kind: "task" | "request" }>,
  operation: Doc<Operation> | undefined,
  task: Doc<Task> | undefined,
  now: string,
): { operation: Operation; task: Task } | undefined {
  if (operation !== undefined && task !== undefined) return { operation: operation.data, task: task.data };
  if (envelope.kind === "task") return undefined;
  const { type, data, operationId } = envelope;
  return {
    operation: operation?.data ?? newOperation(type, data, operationId, now),
    task: { type, data, createTime: now, attempt: 0, done: false },
  };
}

/** The Operation, with all its time again where the last attempt at its Task came further than any before. */
function inTime(operation: Operation, task: Task, now: string): Operation {
  if (task.attempt === 0 || inVain(task) > 0) return operation;
  return { ...operation, deadlineTime: prolonged(operation, now, operation.createTime) };
}

/** The fields of a Task that a claim changes. */
function leased(task: Task, owner: string, now: number, timing: Timing): Pick<Task, "attempt" | "lease" | "relayTime"> {
  return {
    attempt: task.attempt + 1,
    lease: { owner, epoch: (task.lease?.epoch ?? 0) + 1, expireTime: timeOf(now + timing.lease) },
    relayTime: timeOf(now + timing.lease + timing.neglect),
  };
}
