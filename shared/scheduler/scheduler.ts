import { CloudSchedulerClient } from "@google-cloud/scheduler";
import { credentials } from "@grpc/grpc-js";
import { StatusError } from "../error.ts";
import type { Job, Scheduler } from "../pipeline/ports.ts";
import { status, statusOf, translated } from "./error.ts";
import { fromWire, nameOf, type Place, parentOf, toWire, writtenFields } from "./job.ts";

/** Where the jobs are. */
export interface SchedulerOptions extends Place {
  /** `HOST:PORT` of a server on this machine, which is asked without TLS and credentials. Absent: Google's. */
  endpoint?: string;
  /** How long one call may take, in milliseconds. */
  deadlineMs?: number;
}

/** A scheduler whose connection can be ended. */
export interface CloudScheduler extends Scheduler {
  /** Ends the connection. */
  close(): Promise<void>;
}

/** Jobs in Cloud Scheduler. A call that gets no answer within `deadlineMs`, 20 s by default, is UNAVAILABLE. */
export function createScheduler({ endpoint, deadlineMs = 20_000, ...place }: SchedulerOptions): CloudScheduler {
  const connection = connectionTo(endpoint);
  let made: CloudSchedulerClient | undefined;
  // Most functions never ask it, and to make one takes 50 ms of their start.
  const client = () => (made ??= new CloudSchedulerClient({ projectId: place.projectId, ...connection }));
  const options = { timeout: deadlineMs, maxRetries: 0 };

  async function call<T>(what: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw translated(error, what);
    }
  }

  /** The same call, with `undefined` for a job that is not there. */
  async function ifThere<T>(run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run();
    } catch (error) {
      if (statusOf(error) === status.NOT_FOUND) return undefined;
      throw error;
    }
  }

  async function update(job: Job) {
    const request = { job: toWire(place, job), updateMask: { paths: writtenFields } };
    return (await ifThere(() => client().updateJob(request, options)))?.[0];
  }

  /** Creates the job, unless somebody else just did. */
  async function create(job: Job) {
    try {
      return (await client().createJob({ parent: parentOf(place), job: toWire(place, job) }, options))[0];
    } catch (error) {
      if (statusOf(error) !== status.ALREADY_EXISTS) throw error;
      return update(job);
    }
  }

  async function setState(name: string, state: Job["state"]): Promise<void> {
    try {
      await (state === "PAUSED" ? client().pauseJob({ name }, options) : client().resumeJob({ name }, options));
    } catch (error) {
      if (statusOf(error) !== status.FAILED_PRECONDITION) throw error;
      // Somebody else was quicker, maybe to the same state.
      const [found] = await client().getJob({ name }, options);
      if (found.state !== state) throw error;
    }
  }

  return {
    get: (id) =>
      call(`reading job ${id}`, async () => {
        const found = await ifThere(() => client().getJob({ name: nameOf(place, id) }, options));
        if (found === undefined) return undefined;
        const job = fromWire(found[0]);
        if (job !== undefined) return job;
        throw new StatusError("FAILED_PRECONDITION", `job ${id} publishes no event of valkeep: delete or rename it`);
      }),
    put: (job) =>
      call(`putting job ${job.id}`, async () => {
        const written = (await update(job)) ?? (await create(job));
        if (written?.state !== job.state) await setState(nameOf(place, job.id), job.state);
      }),
    remove: (id) =>
      call(`removing job ${id}`, async () => {
        await ifThere(() => client().deleteJob({ name: nameOf(place, id) }, options));
      }),
    list: () =>
      call("listing jobs", async () => {
        const [jobs] = await client().listJobs({ parent: parentOf(place) }, options);
        const ours = jobs.map(fromWire).filter((job) => job !== undefined);
        return ours.sort((a, b) => (a.id < b.id ? -1 : 1));
      }),
    run: (id) =>
      call(`running job ${id}`, async () => {
        await client().runJob({ name: nameOf(place, id) }, options);
      }),
    close: async () => await made?.close(),
  };
}

function connectionTo(endpoint: string | undefined) {
  if (endpoint === undefined) return {};
  const [apiEndpoint, port] = endpoint.split(":");
  if (!apiEndpoint || !/^\d+$/.test(port ?? ""))
    throw new StatusError("INVALID_ARGUMENT", `malformed scheduler endpoint "${endpoint}": expected HOST:PORT`);
  return { apiEndpoint, port: Number(port), sslCreds: credentials.createInsecure() };
}
