import type { Instance } from "../backup/backup.ts";
import { later } from "../backup/duration.ts";
import type { EventMap } from "../backup/event.ts";
import { windowAt } from "../backup/maintenance.ts";
import { operationName, parseInstanceName } from "../backup/name.ts";
import type { Operation } from "../backup/operation.ts";
import { lastDueTimes, scheduleOf } from "../backup/schedule.ts";
import { StatusError } from "../error.ts";
import type { Change } from "./change.ts";
import { operationIdFor, slotIdentity } from "./identity.ts";
import { Postponed, Superseded } from "./postpone.ts";

/** When a scheduled backup looks again whether its instance is still UPDATING, in seconds. */
const updatingWait = 600;

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
  if (request.schedule !== undefined && scheduleOf(instance) === undefined)
    throw new StatusError("FAILED_PRECONDITION", `${instance.name} takes no automated backups any more`);
  const isAutomated = request.backupType === "AUTOMATED";
  const isUpdating = instance.state === "UPDATING";
  if (isUpdating && !isAutomated)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${instance.name} is UPDATING: it is backed up once valkeep instances update ${parseInstanceName(instance.name)} --state=active says that this is over`,
    );
  if (!isAutomated) return;
  await makeWayForLater(change, request);
  if (isUpdating)
    throw new Postponed(later(change.now, updatingWait), `${instance.name} is UPDATING`, { keepsDeadline: true });
  const { maintenancePolicy } = instance;
  if (maintenancePolicy === undefined || maintenancePolicy.backupPolicy === "IGNORE") return;
  const span = windowAt(maintenancePolicy, change.now);
  if (span !== undefined)
    throw new Postponed(span.endTime, `the maintenance window from ${span.startTime} to ${span.endTime}`);
}

/** Throws `Superseded` where a run that came due after this one was begun, while this one waited, is there and has not failed. */
async function makeWayForLater(change: Change, { instance, schedule }: EventMap["backup.v1.requested"]): Promise<void> {
  const { now, operation } = change;
  if (operation.postponed === undefined || schedule === undefined) return;
  for (const slot of lastDueTimes(schedule, now, laterRuns)) {
    if (slot <= operation.createTime) return;
    const name = operationName(operationIdFor("backup.v1.requested", slotIdentity(instance, slot)));
    if (name === operation.name) return;
    const run = await change.read<Operation>(name);
    if (run !== undefined && run.error === undefined) throw new Superseded(name);
  }
}
