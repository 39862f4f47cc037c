import { Cron } from "croner";
import { isUnixCron } from "../../../shared/backup/schedule.ts";
import { StatusError } from "../../../shared/error.ts";

/** A job of Cloud Scheduler as it is kept on disk. Times are RFC 3339, `data` is base64, durations are milliseconds. */
export interface Job {
  name: string;
  description: string;
  schedule: string;
  timeZone: string;
  state: "ENABLED" | "PAUSED";
  pubsubTarget: { topicName: string; data: string; attributes: Record<string, string> };
  retryConfig: RetryConfig;
  userUpdateTime: string;
  /** The next due time; none while PAUSED. */
  scheduleTime?: string;
  lastAttemptTime?: string;
  /** How the last attempt went; google.rpc.Status. */
  status?: { code: number; message: string };
}

export interface RetryConfig {
  retryCount: number;
  maxRetryDurationMs: number;
  minBackoffMs: number;
  maxBackoffMs: number;
  maxDoublings: number;
}

/** Google's defaults, from the comments of google/cloud/scheduler/v1/job.proto. */
export const defaultRetryConfig: RetryConfig = {
  retryCount: 0,
  maxRetryDurationMs: 0,
  minBackoffMs: 5_000,
  maxBackoffMs: 3_600_000,
  maxDoublings: 5,
};

/** The form that Google documents for `Job.name`; the job's own part has at most 500 characters. */
const namePattern = /^projects\/[a-z0-9:.-]+\/locations\/[a-z0-9-]+\/jobs\/[A-Za-z0-9_-]{1,500}$/;

/** Refuses what Cloud Scheduler would refuse, with INVALID_ARGUMENT, and what this server lacks, with UNIMPLEMENTED. */
export function assertJob(job: Job): void {
  if (!namePattern.test(job.name)) {
    throw invalid(`job name "${job.name}" must be projects/PROJECT/locations/LOCATION/jobs/JOB`);
  }
  if (!/^projects\/[^/]+\/topics\/[^/]+$/.test(job.pubsubTarget.topicName)) {
    throw invalid(`topicName "${job.pubsubTarget.topicName}" must be projects/PROJECT/topics/TOPIC`);
  }
  if (job.pubsubTarget.data === "" && Object.keys(job.pubsubTarget.attributes).length === 0) {
    throw invalid("the Pub/Sub message must contain either non-empty data or at least one attribute");
  }
  const { retryCount } = job.retryConfig;
  if (retryCount < 0 || retryCount > 5) throw invalid(`retryCount must be 0 to 5, found ${retryCount}`);
  cronOf(job);
}

/** The first due time after `after`. A cron that never comes due again answers `undefined`. */
export function nextDueTime(job: Job, after: number): string | undefined {
  return cronOf(job).nextRun(new Date(after))?.toISOString();
}

/**
 * How long to wait before retry number `retry` (from 1) of a failed attempt, in milliseconds; `undefined` to give up
 * until the job is due again. The interval doubles `maxDoublings` times and then grows linearly up to its maximum, and
 * retries end when both limits, count and duration, are reached: job.proto's comments on RetryConfig.
 */
export function retryDelay(config: RetryConfig, retry: number, elapsedMs: number): number | undefined {
  if (retry > config.retryCount && elapsedMs >= config.maxRetryDurationMs) return undefined;
  const doublings = Math.min(retry - 1, config.maxDoublings);
  const steps = Math.max(1, retry - config.maxDoublings);
  return Math.min(config.minBackoffMs * 2 ** doublings * steps, config.maxBackoffMs);
}

function cronOf({ schedule, timeZone }: Job): Cron {
  if (/^every\s/i.test(schedule)) throw new StatusError("UNIMPLEMENTED", "schedules in App Engine's cron syntax");
  const shown = `Schedule or time zone is invalid: "${schedule}" in "${timeZone}"`;
  if (!isUnixCron(schedule)) {
    throw invalid(`${shown}: expected five fields of unix-cron`);
  }
  try {
    // croner takes an unknown zone without a word until it is asked for a time.
    Intl.DateTimeFormat("en", { timeZone });
    return new Cron(schedule.trim(), { timezone: timeZone, mode: "5-part" });
  } catch (error) {
    throw invalid(`${shown}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", message);
