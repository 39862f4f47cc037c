import { Cron } from "croner";
import { periodicJobs } from "../../../infra/local/jobs.ts";
import { day } from "../../../shared/backup/duration.ts";
import { combine, nothing, type Usage } from "./meter.ts";
import { createStage, type Stage } from "./stage.ts";

/** How many backups of a day each an instance keeps. */
const keptDays = 35;

/** What somebody calls it, and what it uses. */
export interface Flow {
  name: string;
  usage: Usage;
}

/** One of everything that happens to a backup, on a collection of 35. */
export async function measureFlows(): Promise<Flow[]> {
  const stage = createStage();
  await stage.register("orders");
  await stage.fill(["orders"], keptDays, keptDays);
  const sweep = () => stage.run("sweep.v1.requested", {});
  const flows: Flow[] = [];
  const measure = async (name: string, work: () => Promise<Usage>) => flows.push({ name, usage: await work() });
  await measure("a backup of one shard", () => stage.run("backup.v1.requested", { instance: "orders" }));
  const reconciliation = { schedule: { cron: "13,43 * * * *", timeZone: "Etc/UTC" } };
  await measure("a reconciliation of one instance, with nothing to heal", () =>
    stage.run("reconciliation.v1.requested", reconciliation),
  );
  await measure("a round of watch over one instance", () => stage.run("watch.v1", {}));
  await sweep(); // the first one of a week has the vault looked through
  await measure("a sweep with nothing due", sweep);
  await stage.clock.advance(day * 1000);
  await measure(`a sweep with one expired of ${keptDays + 1}`, sweep);
  await stage.clock.advance(day * 1000 + 60_000);
  await measure("a sweep with one to erase, and one expired", sweep);
  await measure("a tick with nothing left behind", () => stage.run("tick.v1", {}));
  return flows;
}

/** What a fleet uses in a day, once backups are taken, expire and are erased each day, and how many backups it then keeps. */
export async function measureDay(instanceIds: readonly string[]): Promise<{ usage: Usage; kept: number }> {
  const stage = createStage();
  for (const id of instanceIds) await stage.register(id);
  await stage.fill(instanceIds, keptDays, keptDays);
  let usage = nothing;
  for (let days = 0; days < 3; days++) usage = await liveOneDay(stage, instanceIds);
  const kept = await stage.ports.store.query({ collection: "backups", group: true });
  return { usage, kept: kept.length / instanceIds.length };
}

/** Every job of a day, at its minute. */
async function liveOneDay({ clock, run }: Stage, instanceIds: readonly string[]): Promise<Usage> {
  let total = nothing;
  const add = async (work: Promise<Usage>): Promise<void> => {
    total = combine(total, await work, (a, b) => a + b);
  };
  const nightly = { type: "backup.v1.requested", cron: "0 2 * * *" } as const;
  const jobs = [
    ...instanceIds.map((instance) => ({ ...nightly, data: { instance, backupType: "AUTOMATED" } })),
    ...periodicJobs,
  ].map((job) => ({ ...job, times: new Cron(job.cron, { timezone: "Etc/UTC", mode: "5-part" }) }));
  for (let minute = 0; minute < 1440; minute++) {
    await clock.advance(60_000);
    for (const { type, data, times } of jobs) if (times.match(new Date(clock.now()))) await add(run(type, data));
  }
  return total;
}

/** What one sweep uses where so many collections of 100 backups exist, and one backup of each of five has expired. */
export async function measureSweepAmong(collectionCount: number): Promise<Usage> {
  const stage = createStage();
  for (let from = 0; from < collectionCount; from += 50) {
    const ids = Array.from({ length: Math.min(50, collectionCount - from) }, (_, n) => `i${from + n}`);
    await stage.fill(ids, 100, 365);
  }
  await stage.fill(["a", "b", "c", "d", "e"], 100, 98.5);
  return await stage.run("sweep.v1.requested", {});
}
