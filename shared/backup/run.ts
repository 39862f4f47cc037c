import type { Instance } from "./backup.ts";
import { day, later } from "./duration.ts";
import { type MaintenanceSpan, windowAt } from "./maintenance.ts";
import { lastDueTimes, nextDueTime, type Schedule, scheduleOf } from "./schedule.ts";

/** A run may begin so much later than it was due, in seconds, before anybody asks where it is. */
const patience = 600;

/** A run that was due longer ago, in seconds, is let go: its Operation may be forgotten by now (after 90 days). */
const memory = 30 * day;

/** One run of a schedule. */
export interface Run {
  /** When it is due, RFC 3339. */
  slot: string;
  schedule: Schedule;
}

/**
 * The last run of an instance's schedule, if it should have begun by now. Only the last one: after a long outage one backup
 * makes up for all that were missed, and a run that has only just come due makes up for those before it. What was due
 * before the schedule became what it is was never missed.
 */
export function overdueRun(instance: Instance, now: string): Run | undefined {
  const schedule = scheduleOf(instance);
  if (schedule === undefined) return undefined;
  const slot = lastDueTimes(schedule, now, 1)[0];
  const since = instance.automatedBackupConfig.changeTime ?? instance.createTime;
  if (slot === undefined || slot <= since) return undefined;
  return slot <= later(now, -patience) && slot >= later(now, -memory) ? { slot, schedule } : undefined;
}

/** A run is started before a window that begins within so many seconds: what lies between two reconciliations, and some more. */
const lead = 2400;

/**
 * The next run of an instance that avoids its maintenance windows by starting before them, if it is due in one that begins
 * soon.
 */
export function earlyRun(instance: Instance, now: string): (Run & { window: MaintenanceSpan }) | undefined {
  const { maintenancePolicy: policy } = instance;
  const schedule = scheduleOf(instance);
  if (schedule === undefined || policy?.backupPolicy !== "AVOID_BEFORE") return undefined;
  const slot = nextDueTime(schedule, now);
  const window = slot === undefined ? undefined : windowAt(policy, slot);
  if (slot === undefined || window === undefined) return undefined;
  return window.startTime > now && window.startTime <= later(now, lead) ? { slot, schedule, window } : undefined;
}
