import type { protos } from "@google-cloud/scheduler";
import { eventTypes } from "../backup/event.ts";
import { topicOf } from "../backup/route.ts";
import type { Job } from "../pipeline/ports.ts";

type WireJob = protos.google.cloud.scheduler.v1.IJob;
type WireTime = protos.google.protobuf.ITimestamp;

/** Where jobs live, and the project of the topics that they publish to. */
export interface Place {
  projectId: string;
  location: string;
}

/** What the names of all jobs begin with. */
export const parentOf = ({ projectId, location }: Place): string => `projects/${projectId}/locations/${location}`;

/** The whole name of a job. */
export const nameOf = (place: Place, id: string): string => `${parentOf(place)}/jobs/${id}`;

/** What of a job can be written; its state has calls of its own. */
export function toWire(place: Place, { id, cron, timeZone, type, data }: Job): WireJob {
  return {
    name: nameOf(place, id),
    schedule: cron,
    timeZone,
    pubsubTarget: {
      topicName: `projects/${place.projectId}/topics/${topicOf(type)}`,
      data: Buffer.from(JSON.stringify(data)),
      attributes: {},
    },
  };
}

/** The fields of `toWire` for an update (google.cloud.scheduler.v1.UpdateJobRequest). */
export const writtenFields = ["schedule", "time_zone", "pubsub_target"];

/** A job of ours; `undefined` for one that publishes no event of ours. */
export function fromWire(job: WireJob): Job | undefined {
  const { name, schedule, timeZone, pubsubTarget, state } = job;
  const topic = pubsubTarget?.topicName?.split("/").at(-1);
  const type = eventTypes.find((type) => topicOf(type) === topic);
  if (type === undefined) return undefined;
  const scheduleTime = timeOf(job.scheduleTime);
  const lastAttemptTime = timeOf(job.lastAttemptTime);
  return {
    id: name?.split("/").at(-1) ?? "",
    cron: schedule ?? "",
    timeZone: timeZone ?? "",
    type,
    data: dataOf(pubsubTarget?.data),
    state: state === "PAUSED" || state === 2 ? "PAUSED" : "ENABLED",
    ...(scheduleTime !== undefined && { scheduleTime }),
    ...(lastAttemptTime !== undefined && { lastAttemptTime }),
  };
}

/** Text that is no JSON, which only somebody else can have put there, as it is: whoever compares it sees that it differs. */
function dataOf(data: Uint8Array | string | null | undefined): unknown {
  const text = (typeof data === "string" ? Buffer.from(data, "base64") : Buffer.from(data ?? [])).toString();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function timeOf(time: WireTime | null | undefined): string | undefined {
  if (time === null || time === undefined) return undefined;
  return new Date(Number(time.seconds ?? 0) * 1000 + Math.floor((time.nanos ?? 0) / 1e6)).toISOString();
}
