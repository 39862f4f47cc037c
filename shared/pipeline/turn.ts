import type { Instance } from "../backup/backup.ts";
import { later } from "../backup/duration.ts";
import type { EventMap } from "../backup/event.ts";
import { windowAt } from "../backup/maintenance.ts";
import { operationName, parseInstanceName } from "../backup/name.ts";
import type { Operation } from "../backup/operation.ts";
import { isSameSchedule, lastDueTimes, type Schedule, scheduleOf } from "../backup/schedule.ts";
import { StatusError } from "../error.ts";
import type { Change } from "./change.ts";
import { operationIdFor, slotIdentity } from "./identity.ts";
import { Postponed, Superseded } from "./postpone.ts";

/** When a scheduled backup looks again whether its instance is still UPDATING, or occupied, in seconds. */
const pause = 600;

/** So many later runs are looked for at most. */
const laterRuns = 50;

/**
 * Returns if a backup may start now. One that a schedule asks for is moved to the end of a maintenance window, and waits
 * while its instance is UPDATING, until its deadline; of several that waited only the latest starts. A person knows
 * about windows, and is refused only while the instance is UPDATING. A schedule that was turned off meanwhile brings
 * nothing more. What has begun goes on.
 */
export async function awaitTurn(
  change: Change,
  instance: Instance,
  request: EventMap["backup.v1.requested"],
): Promise<void> {
  if (change.operation.holds.length > 0) return;
  const schedule = scheduleOf(instance);
  if (request.schedule !== undefined && schedule === undefined)
    throw new StatusError("FAILED_PRECONDITION", `${instance.name} takes no automated backups any more`);
  const isAutomated = request.backupType === "AUTOMATED";
  const isUpdating = instance.state === "UPDATING";
  if (isUpdating && !isAutomated)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${instance.name} is UPDATING: it is backed up once valkeep instances update ${parseInstanceName(instance.name)} --state=active says that this is over`,
    );
  if (!isAutomated) return;
  await makeWayForLater(change, request, schedule);
  if (isUpdating)
    throw new Postponed(later(change.now, pause), `${instance.name} is UPDATING`, { keepsDeadline: true });
  const { maintenancePolicy } = instance;
  if (maintenancePolicy === undefined || maintenancePolicy.backupPolicy === "IGNORE") return;
  const span = windowAt(maintenancePolicy, change.now);
  if (span !== undefined)
    throw new Postponed(span.endTime, `the maintenance window from ${span.startTime} to ${span.endTime}`);
}

/**
 * What a backup says that finds its instance occupied by another Operation. One that a schedule asks for waits, until its
 * deadline: nobody would ask for it again before the next is due. Who asks otherwise, or has begun already, is refused.
 */
export function occupied(change: Change, request: EventMap["backup.v1.requested"], reason: string): Error {
  const mayWait = request.backupType === "AUTOMATED" && change.operation.holds.length === 0;
  return mayWait
    ? new Postponed(later(change.now, pause), reason, { keepsDeadline: true })
    : new StatusError("FAILED_PRECONDITION", reason);
}

/**
 * Throws `Superseded` where a run that came due after this one was begun, while this one waited, is there and has not failed. It
 * may be of another schedule: that of the instance, `current`, which became another meanwhile.
 */
async function makeWayForLater(
  change: Change,
  { instance, schedule }: EventMap["backup.v1.requested"],
  current: Schedule | undefined,
): Promise<void> {
  const { now, operation } = change;
  if (operation.postponed === undefined || schedule === undefined || current === undefined) return;
  const schedules = isSameSchedule(schedule, current) ? [schedule] : [schedule, current];
  const slots = schedules.flatMap((each) => lastDueTimes(each, now, laterRuns)).sort();
  for (const slot of slots.toReversed()) {
    if (slot <= operation.createTime) return;
    const name = operationName(operationIdFor("backup.v1.requested", slotIdentity(instance, slot)));
    if (name === operation.name) return;
    const run = await change.read<Operation>(name);
    if (run !== undefined && run.error === undefined) throw new Superseded(name);
  }
}
