import { createRequire } from "node:module";
import { fromJSON, type ServiceDefinition } from "@grpc/proto-loader";
import { StatusError } from "../../../shared/error.ts";
import { defaultRetryConfig, type Job, type RetryConfig } from "./job.ts";

/** Job of google.cloud.scheduler.v1 as proto-loader decodes it with the options below; unset messages are null. */
export interface WireJob {
  name: string;
  description: string;
  schedule: string;
  timeZone: string;
  state?: string;
  pubsubTarget: { topicName: string; data: Uint8Array; attributes: Record<string, string> } | null;
  httpTarget?: object | null;
  appEngineHttpTarget?: object | null;
  retryConfig: WireRetryConfig | null;
  userUpdateTime?: WireTime;
  scheduleTime?: WireTime;
  lastAttemptTime?: WireTime;
  status?: { code: number; message: string };
}

interface WireTime {
  seconds: string;
  nanos: number;
}

interface WireRetryConfig {
  retryCount: number;
  maxRetryDuration: WireTime | null;
  minBackoffDuration: WireTime | null;
  maxBackoffDuration: WireTime | null;
  maxDoublings: number;
}

/** The service that @google-cloud/scheduler talks to, from the definitions that the package carries. */
export function schedulerService(): ServiceDefinition {
  const json = createRequire(import.meta.url)("@google-cloud/scheduler/build/protos/protos.json");
  const definitions = fromJSON(json, { longs: String, enums: String, defaults: true, oneofs: true });
  return definitions["google.cloud.scheduler.v1.CloudScheduler"] as ServiceDefinition;
}

/** What a client may set of a job. Throws UNIMPLEMENTED for other targets than Pub/Sub. */
export function fromWire(wire: WireJob): Omit<Job, "state" | "userUpdateTime"> {
  if (wire.httpTarget) throw new StatusError("UNIMPLEMENTED", "httpTarget: only pubsubTarget is implemented here");
  if (wire.appEngineHttpTarget) {
    throw new StatusError("UNIMPLEMENTED", "appEngineHttpTarget: only pubsubTarget is implemented here");
  }
  if (!wire.pubsubTarget) throw new StatusError("INVALID_ARGUMENT", "the job has no target: expected pubsubTarget");
  const { topicName, data, attributes } = wire.pubsubTarget;
  return {
    name: wire.name,
    description: wire.description,
    schedule: wire.schedule,
    timeZone: wire.timeZone || "Etc/UTC",
    pubsubTarget: { topicName, data: Buffer.from(data).toString("base64"), attributes },
    retryConfig: wire.retryConfig ? retryConfigFrom(wire.retryConfig) : defaultRetryConfig,
  };
}

/** The job as an answer. */
export function toWire(job: Job): WireJob {
  const { topicName, data, attributes } = job.pubsubTarget;
  return {
    name: job.name,
    description: job.description,
    schedule: job.schedule,
    timeZone: job.timeZone,
    state: job.state,
    pubsubTarget: { topicName, data: Buffer.from(data, "base64"), attributes },
    retryConfig: {
      retryCount: job.retryConfig.retryCount,
      maxRetryDuration: toWireTime(job.retryConfig.maxRetryDurationMs),
      minBackoffDuration: toWireTime(job.retryConfig.minBackoffMs),
      maxBackoffDuration: toWireTime(job.retryConfig.maxBackoffMs),
      maxDoublings: job.retryConfig.maxDoublings,
    },
    userUpdateTime: toWireTime(Date.parse(job.userUpdateTime)),
    ...(job.scheduleTime === undefined ? {} : { scheduleTime: toWireTime(Date.parse(job.scheduleTime)) }),
    ...(job.lastAttemptTime === undefined ? {} : { lastAttemptTime: toWireTime(Date.parse(job.lastAttemptTime)) }),
    ...(job.status === undefined ? {} : { status: job.status }),
  };
}

const updatable = [
  "description",
  "schedule",
  "timeZone",
  "pubsubTarget",
  "httpTarget",
  "appEngineHttpTarget",
  "retryConfig",
] as const;

/**
 * `job` with those fields of `patch` that the mask's paths name, in snake_case or camelCase; with all that a client may
 * set where there is no mask.
 */
export function masked(job: WireJob, patch: WireJob, paths: readonly string[]): WireJob {
  const fields = paths.length > 0 ? paths.map(updatableField) : updatable;
  return { ...job, ...Object.fromEntries(fields.map((field) => [field, patch[field]])) };
}

function updatableField(path: string): (typeof updatable)[number] {
  const name = path.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const field = updatable.find((candidate) => candidate === name);
  if (field) return field;
  if (path.includes(".")) throw new StatusError("UNIMPLEMENTED", `updateMask: "${path}", a path into a message`);
  throw new StatusError("INVALID_ARGUMENT", `updateMask: "${path}" is not a field of a job that can be updated`);
}

function retryConfigFrom(wire: WireRetryConfig): RetryConfig {
  return {
    retryCount: wire.retryCount,
    maxRetryDurationMs: toMs(wire.maxRetryDuration) ?? 0,
    minBackoffMs: toMs(wire.minBackoffDuration) || defaultRetryConfig.minBackoffMs,
    maxBackoffMs: toMs(wire.maxBackoffDuration) || defaultRetryConfig.maxBackoffMs,
    maxDoublings: wire.maxDoublings || defaultRetryConfig.maxDoublings,
  };
}

const toMs = (time: WireTime | null) => (time ? Number(time.seconds) * 1000 + time.nanos / 1e6 : undefined);

const toWireTime = (ms: number): WireTime => ({ seconds: `${Math.floor(ms / 1000)}`, nanos: (ms % 1000) * 1e6 });
