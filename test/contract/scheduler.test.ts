import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Job, Scheduler } from "../../shared/pipeline/ports.ts";
import { fromWire } from "../../shared/scheduler/job.ts";
import { type SchedulerSubject, schedulerBackends } from "./backends.ts";

describe.each(schedulerBackends)("a scheduler in $name", ({ start }) => {
  let scheduler: Scheduler;
  let fired: SchedulerSubject["fired"];
  let stop: () => Promise<void>;
  beforeAll(async () => ({ scheduler, fired, stop } = await start()), 30_000);
  afterAll(() => stop());

  /** A job that no other test uses, due once a year. */
  const fresh = (changes: Partial<Job> = {}): Job => ({
    id: `j-${randomUUID().slice(0, 8)}`,
    cron: "0 3 29 2 *",
    timeZone: "Europe/Berlin",
    type: "backup.v1.requested",
    data: { instance: "orders", list: ["ä😀"] },
    state: "ENABLED",
    ...changes,
  });
  const invalid = expect.objectContaining({ code: "INVALID_ARGUMENT" });

  it("has no job that nobody put", async () => {
    expect(await scheduler.get(fresh().id)).toBeUndefined();
  });

  it.each(["ENABLED", "PAUSED"] as const)("keeps a job that is %s", async (state) => {
    const job = fresh({ state });
    await scheduler.put(job);
    expect(await scheduler.get(job.id)).toMatchObject(job);
  });

  it.each([
    ["ENABLED", "PAUSED"],
    ["PAUSED", "ENABLED"],
    ["PAUSED", "PAUSED"],
  ] as const)("makes a job that is %s equal to one that is %s", async (before, after) => {
    const job = fresh({ state: before });
    await scheduler.put(job);
    const next = { ...job, cron: "0 4 29 2 *", timeZone: "Etc/UTC", type: "tick.v1", data: {}, state: after } as const;
    await scheduler.put(next);
    expect(await scheduler.get(job.id)).toMatchObject(next);
  });

  it("makes one job of ten puts at once", async () => {
    const job = fresh();
    await Promise.all(Array.from({ length: 10 }, () => scheduler.put(job)));
    expect((await scheduler.list()).filter(({ id }) => id === job.id)).toHaveLength(1);
    expect(await scheduler.get(job.id)).toMatchObject(job);
  });

  it("publishes what the job says when it is run, and tells when", async () => {
    const job = fresh({ data: { instance: "orders", n: 1 } });
    await scheduler.put(job);
    await scheduler.run(job.id);
    expect(await fired(1)).toEqual([{ type: job.type, data: job.data, attributes: {} }]);
    expect((await scheduler.get(job.id))?.lastAttemptTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it("runs no job that is not there: NOT_FOUND", async () => {
    await expect(scheduler.run(fresh().id)).rejects.toEqual(expect.objectContaining({ code: "NOT_FOUND" }));
  });

  it("removes a job, and is fine with removing it again", async () => {
    const job = fresh();
    await scheduler.put(job);
    await scheduler.remove(job.id);
    await scheduler.remove(job.id);
    expect(await scheduler.get(job.id)).toBeUndefined();
  });

  it("lists its jobs by id as it answers each of them", async () => {
    for (const job of [fresh(), fresh(), fresh()]) await scheduler.put(job);
    const jobs = await scheduler.list();
    const ids = jobs.map(({ id }) => id);
    expect(ids).toEqual([...ids].sort());
    expect(jobs).toEqual(await Promise.all(ids.map((id) => scheduler.get(id))));
  });

  it.each([
    { cron: "* * *" },
    { cron: "61 * * * *" },
    { cron: "" },
    { timeZone: "Europe/Nowhere" },
    { id: "a/b" },
    { id: "" },
    { id: "ä" },
  ])("refuses %j", async (changes) => {
    await expect(scheduler.put(fresh(changes))).rejects.toEqual(invalid);
  });
});

it("a job in Cloud Scheduler whose data somebody made no JSON is shown with that text, and hides no other", () => {
  const pubsubTarget = { topicName: "projects/p/topics/valkeep.tick.v1", data: Buffer.from("{") };
  expect(fromWire({ name: "projects/p/locations/l/jobs/j", pubsubTarget })).toMatchObject({ id: "j", data: "{" });
});
