import type { Backup, Instance } from "./backup.ts";
import { later } from "./duration.ts";
import type { Symptom } from "./finding.ts";
import { windowAt } from "./maintenance.ts";
import { assertSchedule, longestGap, scheduleOf } from "./schedule.ts";

/** What a scheduled backup may take beyond its gap before it is missed, in seconds. */
const allowance = 2 * 3600;

/**
 * How old the newest verified backup may be, in seconds: what was set by hand, else the longest gap of the schedule and two hours.
 * `undefined`: nobody asked for backups.
 */
export function objectiveOf(instance: Instance, now: string): number | undefined {
  if (instance.backupObjective !== undefined) return instance.backupObjective;
  const schedule = scheduleOf(instance);
  return schedule === undefined ? undefined : longestGap(schedule, now) + allowance;
}

/**
 * Whether a backup counts: verified, of this very instance, and restorable. Only our own ledger is asked; what a server says of
 * its last save proves nothing.
 */
export const isCounted = ({ state, verification, instanceUid }: Backup, { uid }: Instance): boolean =>
  state === "ACTIVE" && verification !== "UNVERIFIED" && instanceUid === uid;

/** How long ago the newest backup was taken, or the instance was registered where there is none, in seconds. */
export const ageOf = (newest: Backup | undefined, instance: Instance, now: string): number =>
  Math.round((Date.parse(now) - Date.parse(newest?.createTime ?? instance.createTime)) / 1000);

/** The symptom of an instance whose newest verified backup is older than its objective. */
export function overdue(instance: Instance, newest: Backup | undefined, now: string): Symptom[] {
  const age = ageOf(newest, instance, now);
  if (isFresh(instance, age)) return [];
  const objective = objectiveOf(instance, now);
  if (objective === undefined || age <= objective || ageOf(newest, instance, heldBackSince(instance, now)) <= objective)
    return [];
  const last =
    newest === undefined ? "there is no verified backup" : `the newest verified backup is of ${newest.createTime}`;
  return [
    {
      kind: "backup-overdue",
      severity: "CRITICAL",
      message: `${last}, the objective is ${objective} s, and ${age} s have passed`,
      advice: "See valkeep operations list for what failed, then valkeep backups create.",
    },
  ];
}

/** Whether no schedule could ask for more. Of a fleet in order nearly all are: the longest gap costs milliseconds of each. */
function isFresh(instance: Instance, age: number): boolean {
  const schedule = scheduleOf(instance);
  if (instance.backupObjective !== undefined || schedule === undefined || age > allowance) return false;
  assertSchedule(schedule);
  return true;
}

/**
 * Since when a maintenance window has held the scheduled backup back, or left it no time yet after its end; else `now`. An
 * objective that was set by hand asks for no window.
 */
function heldBackSince({ backupObjective, maintenancePolicy: policy }: Instance, now: string): string {
  if (backupObjective !== undefined || policy === undefined || policy.backupPolicy === "IGNORE") return now;
  const span = windowAt(policy, now) ?? windowAt(policy, later(now, -allowance));
  return span?.startTime ?? now;
}
