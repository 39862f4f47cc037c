import { randomUUID } from "node:crypto";
import { StatusError } from "../../../shared/error.ts";
import { assertJob, type Job } from "./job.ts";
import type { JobStore } from "./job-store.ts";
import { type Clock, type Runner, withScheduleTime } from "./runner.ts";
import { fromWire, masked, toWire, type WireJob } from "./wire.ts";

/** What the methods of the service do, free of gRPC; each throws a StatusError with Google's code. */
export interface SchedulerService {
  createJob(request: { parent: string; job: WireJob | null }): WireJob;
  getJob(request: { name: string }): WireJob;
  listJobs(request: { parent: string; pageSize: number; pageToken: string }): {
    jobs: WireJob[];
    nextPageToken: string;
  };
  updateJob(request: { job: WireJob | null; updateMask: { paths: string[] } | null }): WireJob;
  deleteJob(request: { name: string }): object;
  pauseJob(request: { name: string }): WireJob;
  resumeJob(request: { name: string }): WireJob;
  runJob(request: { name: string }): WireJob;
}

/** The largest page of ListJobs, and the page that a client gets who asks for none: cloudscheduler.proto. */
const LARGEST_PAGE = 500;

export function schedulerOf(projectId: string, store: JobStore, runner: Runner, clock: Clock): SchedulerService {
  const now = () => new Date(clock.now()).toISOString();

  function existing(name: string): Job {
    const job = store.get(name);
    if (job === undefined) throw new StatusError("NOT_FOUND", `Job not found: ${name}`);
    return job;
  }

  function saved(job: Job): WireJob {
    const scheduled = withScheduleTime(job, clock.now());
    store.put(scheduled);
    runner.wake();
    return toWire(scheduled);
  }

  function changeState(name: string, from: Job["state"], to: Job["state"]): WireJob {
    const job = existing(name);
    if (job.state !== from) {
      throw new StatusError("FAILED_PRECONDITION", `${name} is ${job.state}: only a job that is ${from} becomes ${to}`);
    }
    return saved({ ...job, state: to, userUpdateTime: now() });
  }

  return {
    createJob({ parent, job: wire }) {
      assertParent(projectId, parent);
      if (wire === null) throw new StatusError("INVALID_ARGUMENT", "CreateJob without a job");
      const name = wire.name || `${parent}/jobs/${randomUUID()}`;
      const job: Job = { ...fromWire({ ...wire, name }), state: "ENABLED", userUpdateTime: now() };
      if (!name.startsWith(`${parent}/jobs/`)) {
        throw new StatusError("INVALID_ARGUMENT", `job name "${name}" must begin with its parent ${parent}/jobs/`);
      }
      assertJob(job);
      if (store.get(name)) throw new StatusError("ALREADY_EXISTS", `Job already exists: ${name}`);
      return saved(job);
    },
    getJob: ({ name }) => toWire(existing(name)),
    listJobs({ parent, pageSize, pageToken }) {
      assertParent(projectId, parent);
      if (pageSize < 0) throw new StatusError("INVALID_ARGUMENT", `pageSize must not be negative, found ${pageSize}`);
      const last = Buffer.from(pageToken, "base64url").toString();
      const jobs = store.all().filter((job) => job.name.startsWith(`${parent}/jobs/`) && job.name > last);
      const page = jobs.slice(0, Math.min(pageSize || LARGEST_PAGE, LARGEST_PAGE));
      const nextPageToken = page.length < jobs.length ? Buffer.from(page.at(-1)?.name ?? "").toString("base64url") : "";
      return { jobs: page.map(toWire), nextPageToken };
    },
    updateJob({ job: wire, updateMask }) {
      if (wire === null) throw new StatusError("INVALID_ARGUMENT", "UpdateJob without a job");
      const before = existing(wire.name);
      const after: Job = {
        ...before,
        ...fromWire(masked(toWire(before), wire, updateMask?.paths ?? [])),
        userUpdateTime: now(),
      };
      assertJob(after);
      return saved(after);
    },
    deleteJob({ name }) {
      existing(name);
      store.delete(name);
      runner.wake();
      return {};
    },
    pauseJob: ({ name }) => changeState(name, "ENABLED", "PAUSED"),
    resumeJob: ({ name }) => changeState(name, "PAUSED", "ENABLED"),
    runJob({ name }) {
      const job = existing(name);
      runner.run(name);
      return toWire(job);
    },
  };
}

function assertParent(projectId: string, parent: string): void {
  const [, project] = /^projects\/([^/]+)\/locations\/[a-z0-9-]+$/.exec(parent) ?? [];
  if (project === undefined) {
    throw new StatusError("INVALID_ARGUMENT", `parent "${parent}" must be projects/PROJECT/locations/LOCATION`);
  }
  if (project !== projectId) throw new StatusError("NOT_FOUND", `this server holds ${projectId}, not ${project}`);
}
