import type { Instance } from "./backup.ts";
import { day, later } from "./duration.ts";
import { lastDueTimes, type Schedule, scheduleOf } from "./schedule.ts";

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
