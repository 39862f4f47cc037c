import { timeOf } from "../shared/backup/duration.ts";
import type { Operation, Task } from "../shared/backup/operation.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import { idOf, type OutboxEntry, outboxCollection } from "../shared/pipeline/change.ts";
import { publish } from "../shared/pipeline/outbox.ts";
import type { Doc, Ports } from "../shared/pipeline/ports.ts";
import { endOperation } from "../shared/pipeline/submit.ts";
import type { Timing } from "../shared/pipeline/timing.ts";

/** How much of each kind one tick goes on with; the next minute brings the next. */
const batch = 200;

/** Goes on with what was left behind: outbox entries, Tasks that nobody has touched, Operations past their deadline. */
export async function relay(ports: Ports, timing: Timing): Promise<void> {
  const now = ports.clock.now();
  await publishOutbox(ports, now, timing);
  await wakeTasks(ports, now, timing);
  await endOverdue(ports, timeOf(now));
}

/** One that cannot be gone on with now must not hold up the others. */
async function alone(path: string, ports: Ports, act: () => Promise<void>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (thrown) {
    const { code, message } = asStatusError(thrown);
    ports.log("ERROR", "not relayed", { path, code, reason: message });
    return false;
  }
}

/** Puts what failed behind the others, by `relayTime`. */
async function putOff({ path, data, updateTime }: Doc<OutboxEntry | Task>, ports: Ports, now: number, timing: Timing) {
  const relayTime = timeOf(now + 5 * timing.neglect);
  await ports.store.commit([{ kind: "put", path, data: { ...data, relayTime }, updateTime }]);
}

async function publishOutbox(ports: Ports, now: number, timing: Timing): Promise<void> {
  const due = await ports.store.query<OutboxEntry>({
    collection: outboxCollection,
    where: [["relayTime", "<=", timeOf(now)]],
    orderBy: { field: "relayTime", direction: "asc" },
    limit: batch,
  });
  for (const doc of due) {
    const { path, data } = doc;
    ports.log("INFO", "relayed", { event: idOf(path), type: data.type });
    if (!(await alone(path, ports, () => publish([{ id: idOf(path), entry: data }], ports))))
      await alone(path, ports, () => putOff({ ...doc, data: overdue(data) }, ports, now, timing));
  }
}

/** Remembers since when an entry waits: its `relayTime` no longer tells. */
const overdue = (entry: OutboxEntry): OutboxEntry => ({ ...entry, dueTime: entry.dueTime ?? entry.relayTime });

async function wakeTasks(ports: Ports, now: number, timing: Timing): Promise<void> {
  const due = await ports.store.query<Task>({
    collection: "tasks",
    group: true,
    where: [["relayTime", "<=", timeOf(now)]],
    orderBy: { field: "relayTime", direction: "asc" },
    limit: batch,
  });
  for (const task of due)
    if (!(await alone(task.path, ports, () => wake(task, ports, now, timing))))
      await alone(task.path, ports, () => putOff(task, ports, now, timing));
}

/** Publishes a Task's message again; a Task of an Operation that has ended is left alone from now on. */
async function wake(
  { path, data: task, updateTime }: Doc<Task>,
  ports: Ports,
  now: number,
  timing: Timing,
): Promise<void> {
  const operationPath = path.slice(0, path.indexOf("/tasks/"));
  const operation = await ports.store.get<Operation>(operationPath);
  const { relayTime: _, ...rest } = task;
  if (operation?.data.done === false) {
    const attributes = {
      operation: idOf(operationPath),
      task: idOf(path),
      id: `${idOf(operationPath)}.${idOf(path)}`,
      type: task.type,
      time: timeOf(now),
    };
    await ports.events.publish({ type: task.type, data: task.data, attributes });
    ports.log("INFO", "woken", { task: path, attempt: task.attempt });
  }
  const data = operation?.data.done === false ? { ...rest, relayTime: timeOf(now + timing.neglect) } : rest;
  try {
    await ports.store.commit([{ kind: "put", path, data, updateTime }]);
  } catch (error) {
    if (asStatusError(error).code !== "ABORTED") throw error; // ABORTED: somebody is at it, which is what we wanted
  }
}

async function endOverdue(ports: Ports, now: string): Promise<void> {
  const due = await ports.store.query<Operation>({
    collection: "operations",
    where: [
      ["done", "==", false],
      ["deadlineTime", "<=", now],
    ],
    orderBy: { field: "deadlineTime", direction: "asc" },
    limit: batch,
  });
  for (const { path, data } of due) {
    const error = new StatusError(
      "DEADLINE_EXCEEDED",
      `not done by ${data.deadlineTime}; it was at ${data.progress.step}${waitText(data)}`,
    );
    await alone(path, ports, async () => {
      if (await endOperation(ports, path, error, false)) ports.log("WARNING", "overdue", { operation: path });
    });
  }
}

/** What it waited for last, where it waited. */
const waitText = ({ postponed }: Operation): string =>
  postponed === undefined ? "" : `, postponed until ${postponed.until}: ${postponed.reason}`;
