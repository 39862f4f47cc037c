import { periodicJobs } from "../../infra/local/jobs.ts";
import { type Flow, measureDay, measureFlows, measureSweepAmong } from "./fleet/flows.ts";
import { combine, type Usage } from "./fleet/meter.ts";
import { assumed, monthOf, withoutStorage } from "./fleet/month.ts";
import { asOf, type Price, prices } from "./fleet/prices.ts";
import { mega, say } from "./say.ts";
import { runJob } from "./source.ts";
import { table } from "./table.ts";

/** How large the fleet is whose every backup is decided. */
const fleet = { instances: 10_000, backups: 100 };

/** Each backup's size in GB, for the cost of a month. */
const sizeGb = 1;

/** What a fleet needs: time and memory to decide a million backups, and what a month costs at list prices. */
export async function benchFleet(): Promise<string> {
  return [await decisions(), ...(await usages()), await months(), priceTable()].join("\n\n");
}

async function decisions(): Promise<string> {
  const { result, measured } = await runJob<Record<string, number>>("decide", `${fleet.instances}`, `${fleet.backups}`);
  const { seconds, cpuSeconds, peakBytes } = measured;
  const count = Object.values(result).reduce((sum, some) => sum + some, 0);
  const actions = Object.entries(result).map(([action, some]) => `${some} ${action}`);
  say(`decided ${count} backups`);
  return table(
    [
      `decisions: ${count} backups of ${fleet.instances} instances`,
      "SECONDS",
      "CPU SECONDS",
      "PEAK RESIDENT",
      "TARGET",
    ],
    [
      [
        actions.join(", "),
        seconds.toFixed(2),
        cpuSeconds.toFixed(2),
        mega(peakBytes),
        `${cpuSeconds < 10 && peakBytes < 512 * 2 ** 20 ? "met" : "MISSED"}, < 10 s on one core, < 512 MiB`,
      ],
    ],
  );
}

async function usages(): Promise<string[]> {
  const flows = await measureFlows();
  say("measured what each flow uses");
  const among: Flow[] = [];
  for (const collections of [10, 1000]) {
    const usage = await measureSweepAmong(collections);
    among.push({ name: `a sweep, 5 expired, among ${collections * 100 + 500} backups`, usage });
    say(`swept among ${collections * 100 + 500} backups`);
  }
  return [usageTable("what it uses", flows), usageTable("whatever else exists", among)];
}

function usageTable(title: string, flows: readonly Flow[]): string {
  const head = ["READS", "WRITES", "DELETES", "MESSAGES", "DELIVERED", "CLASS A", "CLASS B"];
  const cells = (usage: Usage) =>
    [usage.reads, usage.writes, usage.deletes, usage.messages, usage.deliveries, usage.classA, usage.classB].map(
      String,
    );
  return table(
    [title, ...head],
    flows.map(({ name, usage }) => [name, ...cells(usage)]),
  );
}

async function months(): Promise<string> {
  const [one, two] = [await measureDay(["a"]), await measureDay(["a", "b"])];
  say("lived three days of one instance and of two");
  const instance = combine(two.usage, one.usage, (a, b) => a - b);
  const idle = combine(one.usage, instance, (a, b) => a - b);
  const rows = [1, 100, 10_000].map((instances) => {
    const month = monthOf(instances, { idle, instance, jobs: periodicJobs.length, kept: one.kept, sizeGb });
    const { firestore, pubsub, operations, scheduler, run, storage } = month;
    const rest = withoutStorage(month);
    return [
      `${instances}`,
      ...[firestore, pubsub, operations, scheduler, run, rest, rest / instances, storage].map(dollars),
    ];
  });
  const head = ["FIRESTORE", "PUB/SUB", "STORAGE OPS", "SCHEDULER", "CLOUD RUN *", "TOGETHER", "EACH", "FILES"];
  const title = `$ a month; instances with ${one.kept} backups of ${sizeGb} GB`;
  const { deliverySeconds, memoryGib, snapshotGbPerSecond } = assumed;
  const note = `* seconds assumed: ${deliverySeconds} a delivery, snapshots of ${snapshotGbPerSecond * 1000} MB/s, on 1 vCPU with ${memoryGib} GiB`;
  return `${table([title, ...head], rows)}\n${note}`;
}

const dollars = (amount: number): string => amount.toFixed(amount < 1 ? 3 : 2);

function priceTable(): string {
  const rows = Object.values<Price>(prices).map(({ sku, dollars, unit, page, isRead }) => [
    sku,
    `$${Number(dollars.toPrecision(4))}`,
    unit,
    isRead ? page : `${page} (not verified)`,
  ]);
  return table([`list prices of us-central1, ${asOf}`, "PRICE", "OF ONE", "PAGE"], rows);
}
