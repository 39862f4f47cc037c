import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CloudSchedulerClient } from "@google-cloud/scheduler";
import { credentials, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { defaultRetryConfig, retryDelay } from "../../infra/local/scheduler/job.ts";
import type { Clock, Publish } from "../../infra/local/scheduler/runner.ts";
import { type SchedulerServer, startScheduler } from "../../infra/local/scheduler/server.ts";

const parent = "projects/p/locations/asia-northeast1";
const name = `${parent}/jobs/tick`;
const topicName = "projects/p/topics/valkeep.tick.v1";
const tick = { name, schedule: "* * * * *", timeZone: "Etc/UTC", pubsubTarget: { topicName, data: Buffer.from("{}") } };
const start = Date.parse("2026-03-01T10:00:20Z");

let directory: string;
let clock: ReturnType<typeof fakeClock>;
let published: { topicName: string; data: string; time: string }[];
let failures: number;
let server: SchedulerServer;
let client: CloudSchedulerClient;

const publish: Publish = async ({ topicName, data }) => {
  if (failures-- > 0) throw Object.assign(new Error("no such topic"), { code: status.NOT_FOUND });
  const time = new Date(clock.now()).toISOString();
  published.push({ topicName, data: Buffer.from(data, "base64").toString(), time });
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-scheduler-"));
  clock = fakeClock(start);
  published = [];
  failures = 0;
  await open();
});

afterEach(async () => {
  await close();
  await rm(directory, { recursive: true });
});

async function open(): Promise<void> {
  server = await startScheduler({ directory, port: 0, projectId: "p", publish, clock });
  client = new CloudSchedulerClient({
    apiEndpoint: "127.0.0.1",
    port: server.port,
    sslCreds: credentials.createInsecure(),
  });
}

async function close(): Promise<void> {
  await client.close();
  await server.stop();
}

describe("a job", () => {
  it("is answered as Google answers it", async () => {
    const [job] = await client.createJob({ parent, job: tick });
    expect(job).toMatchObject({
      name,
      state: "ENABLED",
      timeZone: "Etc/UTC",
      scheduleTime: { seconds: `${Date.parse("2026-03-01T10:01:00Z") / 1000}` },
      userUpdateTime: { seconds: `${start / 1000}` },
      retryConfig: { retryCount: 0, minBackoffDuration: { seconds: "5" }, maxDoublings: 5 },
    });
    expect((await client.getJob({ name }))[0]).toEqual(job);
  });

  it("publishes its data when it is due, every time", async () => {
    await client.createJob({ parent, job: tick });
    await clock.advance(150_000);
    expect(published).toEqual([
      { topicName, data: "{}", time: "2026-03-01T10:01:00.000Z" },
      { topicName, data: "{}", time: "2026-03-01T10:02:00.000Z" },
    ]);
    const [job] = await client.getJob({ name });
    expect(job.status?.code).toBe(0);
    expect(job.lastAttemptTime?.seconds).toBe(`${Date.parse("2026-03-01T10:02:00Z") / 1000}`);
    expect(job.scheduleTime?.seconds).toBe(`${Date.parse("2026-03-01T10:03:00Z") / 1000}`);
  });

  it("is due by the clock of its time zone", async () => {
    const [job] = await client.createJob({ parent, job: { ...tick, schedule: "0 2 * * *", timeZone: "Asia/Tokyo" } });
    expect(job.scheduleTime?.seconds).toBe(`${Date.parse("2026-03-01T17:00:00Z") / 1000}`);
  });

  it("with no time zone is due by UTC", async () => {
    const [job] = await client.createJob({ parent, job: { ...tick, timeZone: "", schedule: "0 2 * * *" } });
    expect(job.scheduleTime?.seconds).toBe(`${Date.parse("2026-03-02T02:00:00Z") / 1000}`);
  });

  it("with no name gets one", async () => {
    const [job] = await client.createJob({ parent, job: { ...tick, name: "" } });
    expect(job.name).toMatch(new RegExp(`^${parent}/jobs/[0-9a-f-]{36}$`));
  });

  it("says why its last attempt failed, and is published when it is due again", async () => {
    failures = 1;
    await client.createJob({ parent, job: tick });
    await clock.advance(45_000);
    expect((await client.getJob({ name }))[0].status).toMatchObject({ code: 5, message: "no such topic" });
    await clock.advance(60_000);
    expect(published).toHaveLength(1);
    expect((await client.getJob({ name }))[0].status?.code).toBe(0);
  });

  it("is tried again as its retryConfig says", async () => {
    failures = 2;
    const retryConfig = { retryCount: 2, minBackoffDuration: { seconds: 7 } };
    await client.createJob({ parent, job: { ...tick, schedule: "1 10 * * *", retryConfig } });
    await clock.advance(300_000);
    expect(published.map(({ time }) => time)).toEqual(["2026-03-01T10:01:21.000Z"]);
  });

  it("is not tried again once it is paused", async () => {
    failures = 1;
    await client.createJob({ parent, job: { ...tick, retryConfig: { retryCount: 5 } } });
    await clock.advance(42_000);
    await client.pauseJob({ name });
    await clock.advance(600_000);
    expect(published).toEqual([]);
  });

  it("publishes nothing while it is paused, and goes on when it is resumed", async () => {
    await client.createJob({ parent, job: tick });
    const [paused] = await client.pauseJob({ name });
    expect(paused).toMatchObject({ state: "PAUSED", scheduleTime: null });
    await clock.advance(600_000);
    expect(published).toEqual([]);
    expect((await client.resumeJob({ name }))[0].state).toBe("ENABLED");
    await clock.advance(60_000);
    expect(published).toHaveLength(1);
  });

  it("runs at once when asked to, due or not, and keeps its schedule", async () => {
    const [before] = await client.createJob({ parent, job: { ...tick, schedule: "0 2 * * *" } });
    await client.runJob({ name });
    await clock.advance(0);
    expect(published.map(({ time }) => time)).toEqual(["2026-03-01T10:00:20.000Z"]);
    expect((await client.getJob({ name }))[0].scheduleTime).toEqual(before.scheduleTime);
  });

  it("publishes nothing once it is deleted", async () => {
    await client.createJob({ parent, job: tick });
    await client.deleteJob({ name });
    await clock.advance(120_000);
    expect(published).toEqual([]);
    await expect(client.getJob({ name })).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it("is updated in the fields of the mask only", async () => {
    await client.createJob({ parent, job: { ...tick, description: "kept" } });
    const [job] = await client.updateJob({
      job: { name, schedule: "30 4 * * *", description: "ignored" },
      updateMask: { paths: ["schedule"] },
    });
    expect(job).toMatchObject({ schedule: "30 4 * * *", description: "kept", pubsubTarget: { topicName } });
    expect(job.scheduleTime?.seconds).toBe(`${Date.parse("2026-03-02T04:30:00Z") / 1000}`);
  });

  it("stays paused when it is updated", async () => {
    await client.createJob({ parent, job: tick });
    await client.pauseJob({ name });
    const [job] = await client.updateJob({ job: { ...tick, schedule: "*/2 * * * *" } });
    expect(job).toMatchObject({ state: "PAUSED", schedule: "*/2 * * * *", scheduleTime: null });
  });
});

describe("a list", () => {
  it("comes in pages, by name, of one location", async () => {
    for (const id of ["c", "a", "b"])
      await client.createJob({ parent, job: { ...tick, name: `${parent}/jobs/${id}` } });
    const other = "projects/p/locations/europe-west1";
    await client.createJob({ parent: other, job: { ...tick, name: `${other}/jobs/d` } });
    const [first, request] = await client.listJobs({ parent, pageSize: 2 }, { autoPaginate: false });
    expect(first.map((job) => job.name)).toEqual([`${parent}/jobs/a`, `${parent}/jobs/b`]);
    expect(request?.pageToken).toBeTruthy();
    const [all] = await client.listJobs({ parent, pageSize: 2 });
    expect(all).toHaveLength(3);
  });
});

describe("a restart", () => {
  it("keeps the jobs", async () => {
    const [job] = await client.createJob({ parent, job: { ...tick, description: "every minute" } });
    await close();
    await open();
    expect((await client.getJob({ name }))[0]).toEqual(job);
  });

  it("runs a job that came due meanwhile once, late", async () => {
    await client.createJob({ parent, job: tick });
    await close();
    await clock.advance(3_600_000);
    await open();
    await clock.advance(1_000);
    expect(published.map(({ time }) => time)).toEqual(["2026-03-01T11:00:20.000Z"]);
  });

  it("is refused while the file of jobs is damaged", async () => {
    const damaged = await mkdtemp(join(tmpdir(), "valkeep-scheduler-"));
    await writeFile(join(damaged, "jobs.json"), "[{");
    await expect(startScheduler({ directory: damaged, port: 0, projectId: "p", publish })).rejects.toThrow(
      /jobs\.json is not a list of jobs/,
    );
    await rm(damaged, { recursive: true });
  });
});

describe("a refusal", () => {
  const { INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION, UNIMPLEMENTED } = status;
  const { pubsubTarget: _, ...untargeted } = tick;
  it.each([
    ["a cron of four fields", { schedule: "* * * *" }, INVALID_ARGUMENT, /"\* \* \* \*".*five fields/],
    ["a cron of six fields", { schedule: "0 * * * * *" }, INVALID_ARGUMENT, /five fields/],
    ["a minute 60", { schedule: "60 * * * *" }, INVALID_ARGUMENT, /invalid/],
    ["a macro", { schedule: "@daily" }, INVALID_ARGUMENT, /five fields/],
    ["an L, which croner knows and unix-cron does not", { schedule: "0 0 L * *" }, INVALID_ARGUMENT, /five fields/],
    ["an unknown time zone", { timeZone: "Mars/Olympus" }, INVALID_ARGUMENT, /Mars\/Olympus/],
    ["App Engine's syntax", { schedule: "every 5 minutes" }, UNIMPLEMENTED, /App Engine/],
    ["a topic without its project", { pubsubTarget: { topicName: "t", data: "e30=" } }, INVALID_ARGUMENT, /topicName/],
    ["an empty message", { pubsubTarget: { topicName } }, INVALID_ARGUMENT, /non-empty data/],
    ["six retries", { retryConfig: { retryCount: 6 } }, INVALID_ARGUMENT, /retryCount.*6/],
    ["a name outside its parent", { name: "projects/p/locations/x/jobs/tick" }, INVALID_ARGUMENT, /parent/],
    ["a name with a space", { name: `${parent}/jobs/a b` }, INVALID_ARGUMENT, /job name/],
  ])("meets %s", async (_, change, code, message) => {
    const attempt = client.createJob({ parent, job: { ...tick, ...change } });
    await expect(attempt).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await expect(client.getJob({ name })).rejects.toMatchObject({ code: NOT_FOUND });
  });

  it("names the target that is not implemented", async () => {
    const job = { ...untargeted, httpTarget: { uri: "http://example.com/" } };
    await expect(client.createJob({ parent, job })).rejects.toMatchObject({
      code: UNIMPLEMENTED,
      message: expect.stringContaining("httpTarget"),
    });
  });

  it("names the method that is not implemented", async () => {
    await expect(client.getLocation({ name: parent })).rejects.toMatchObject({
      code: UNIMPLEMENTED,
      message: expect.stringContaining("GetLocation"),
    });
  });

  it("meets a name that is taken", async () => {
    await client.createJob({ parent, job: tick });
    await expect(client.createJob({ parent, job: tick })).rejects.toMatchObject({ code: ALREADY_EXISTS });
  });

  it("meets whoever resumes a job that is not paused", async () => {
    await client.createJob({ parent, job: tick });
    await expect(client.resumeJob({ name })).rejects.toMatchObject({ code: FAILED_PRECONDITION });
  });

  it("meets a mask with a field that no client sets", async () => {
    await client.createJob({ parent, job: tick });
    const attempt = client.updateJob({ job: tick, updateMask: { paths: ["last_attempt_time"] } });
    await expect(attempt).rejects.toMatchObject({ code: INVALID_ARGUMENT });
  });

  it("meets another project", async () => {
    await expect(client.listJobs({ parent: "projects/q/locations/x" })).rejects.toMatchObject({ code: NOT_FOUND });
  });
});

it("retries come at the intervals of Google's own example", () => {
  const config = { retryCount: 8, maxRetryDurationMs: 0, minBackoffMs: 10_000, maxBackoffMs: 300_000, maxDoublings: 3 };
  const delays = Array.from({ length: 9 }, (_, index) => retryDelay(config, index + 1, 0));
  expect(delays).toEqual([10, 20, 40, 80, 160, 240, 300, 300, undefined].map((s) => s && s * 1000));
});

it("a job with no retryConfig waits for its next due time", () => {
  expect(retryDelay(defaultRetryConfig, 1, 0)).toBeUndefined();
});

/** Time that passes only when told to; `advance` also lets what is woken run. */
function fakeClock(startTime: number): Clock & { advance(ms: number): Promise<void> } {
  let now = startTime;
  const sleepers = new Set<{ until: number; wake: () => void }>();
  const settle = () => new Promise((resolve) => setTimeout(resolve, 2));
  return {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const sleeper = { until: now + Math.max(0, ms), wake };
        function wake() {
          sleepers.delete(sleeper);
          resolve();
        }
        if (signal.aborted) return resolve();
        sleepers.add(sleeper);
        signal.addEventListener("abort", wake, { once: true });
      }),
    async advance(ms) {
      const end = now + ms;
      for (;;) {
        await settle();
        const [next] = [...sleepers].sort((a, b) => a.until - b.until);
        if (next === undefined || next.until > end) break;
        now = Math.max(now, next.until);
        next.wake();
      }
      now = end;
    },
  };
}
