import { afterAll, beforeAll, expect, it } from "vitest";
import { timeOf } from "../../shared/backup/duration.ts";
import { type InstanceFlags, newInstance } from "../../shared/backup/instance.ts";
import { instanceName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { jobId } from "../../shared/backup/schedule.ts";
import { until } from "../fixture/until.ts";
import { backupsOf, openStage, type Stage } from "./stage.ts";

let stage: Stage;
let endpoint: string;

beforeAll(async () => {
  stage = await openStage();
  endpoint = (await stage.valkey()).endpoint;
  // These go on while the other tests run: the one fires within a minute, by itself, and the other's window ends then.
  await register("minutely", { cron: "* * * * *" }, Date.now());
  await stage.done("instance.v1.changed", { instance: "minutely" });
  await register("windowed", { maintenanceWindow: windowUntil(nextMinute()) }, Date.now());
  await stage.publish("backup.v1.requested", { instance: "windowed", backupType: "AUTOMATED" });
});

/** The next full minute that is some seconds away. */
const nextMinute = (): number => Math.ceil((Date.now() + 15_000) / 60_000) * 60_000;

/** A maintenance window that has begun and ends then. */
function windowUntil(end: number): string {
  const moment = (time: number): string => {
    const date = new Date(time);
    const day = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"][date.getUTCDay()];
    return `${day}:${date.toISOString().slice(11, 16)}`;
  };
  return `${moment(end - 3_600_000)}-${moment(end)}`;
}

afterAll(async () => await stage[Symbol.asyncDispose]());

/** An instance with automated backups, as it was registered at a time. */
async function register(id: string, flags: InstanceFlags, time: number): Promise<void> {
  const asked = { automatedBackupMode: "enabled", ...flags, id, endpoint, location: "asia-northeast1" };
  const instance = newInstance(asked, stage.ports.ids.uuid(), timeOf(time));
  await stage.ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
}

const backupsAsked = async (id: string): Promise<Operation[]> =>
  (await stage.operations()).filter(({ verb, target }) => verb === "backup" && target === instanceName(id));

/** Fires the job of the reconciliation, as Cloud Scheduler does every half hour. */
const reconcile = async (): Promise<void> => await stage.ports.scheduler.run("valkeep-reconciliation");

it("makes up for a run that was missed, and knows its message again when it comes late", async () => {
  const days = 86_400_000;
  const startTimeHours = String(new Date(Date.now() - 2 * 3_600_000).getUTCHours()); // due an hour or two ago
  await register("orders", { startTimeHours }, Date.now() - 2 * days);
  await reconcile();
  const isOurs = ({ verb, target }: Operation): boolean => verb === "backup" && target === instanceName("orders");
  const { error, cause } = await stage.operation((operation) => isOurs(operation) && operation.done);
  expect({ error, cause }).toEqual({
    error: undefined,
    cause: expect.stringMatching(/^the run that was due at .* was missed$/),
  });
  await until(async () => (await stage.ports.scheduler.get(jobId("orders"))) !== undefined, "the job of orders");
  await stage.ports.scheduler.run(jobId("orders"));
  await stage.done("backup.v1.requested", { instance: "orders", backupId: "after-it" });
  expect(
    (await backupsAsked("orders")).filter(({ request }) => Object(request.data).schedule !== undefined),
  ).toHaveLength(1);
  const { backups } = await backupsOf(stage, "orders");
  expect(backups.map(({ backupType, state }) => `${backupType} ${state}`).sort()).toEqual([
    "AUTOMATED ACTIVE",
    "ON_DEMAND ACTIVE",
  ]);
});

it("heals a job that was paused by hand", async () => {
  const { scheduler } = stage.ports;
  const id = jobId("orders");
  const job = await scheduler.get(id);
  if (job === undefined) throw new Error(`there is no ${id}`);
  await scheduler.put({ ...job, state: "PAUSED", cron: "0 0 1 1 *" });
  await stage.done("reconciliation.v1.requested", {});
  await until(async () => (await scheduler.get(id))?.state === "ENABLED", `${id} to be ENABLED`);
  expect(await scheduler.get(id)).toMatchObject({ cron: job.cron, data: job.data });
});

it("fires by itself at the minute at which it is due", { timeout: 120_000 }, async () => {
  const [operation] = await until(
    async () => {
      const asked = await backupsAsked("minutely");
      return asked.length > 0 && asked;
    },
    "the run of the minute",
    90,
  );
  const job = await stage.ports.scheduler.get(jobId("minutely"));
  const secondsAfter = (time: string | undefined): number => (Date.parse(time ?? "") % 60_000) / 1000;
  expect(secondsAfter(job?.lastAttemptTime)).toBeLessThan(5);
  expect(operation?.cause).toBeUndefined();
});

it("takes a backup that a maintenance window put off when that is over", { timeout: 200_000 }, async () => {
  const isOurs = ({ verb, target }: Operation): boolean => verb === "backup" && target === instanceName("windowed");
  const { error, postponed } = await stage.operation((operation) => isOurs(operation) && operation.done);
  expect({ error, postponed }).toEqual({
    error: undefined,
    postponed: { until: expect.any(String), reason: expect.stringContaining("the maintenance window from ") },
  });
  const { backups } = await backupsOf(stage, "windowed");
  expect(backups).toMatchObject([{ state: "ACTIVE", backupType: "AUTOMATED" }]);
  expect((backups[0]?.createTime ?? "") >= (postponed?.until ?? "?")).toBe(true);
});
