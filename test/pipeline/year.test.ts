import { expect, it } from "vitest";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import { defaultWindows } from "../../shared/backup/maintenance.ts";
import { collectionName, instanceName } from "../../shared/backup/name.ts";
import { keyName } from "../../shared/memory/valkey.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { valkeep } from "../cli/terminal.ts";
import { seeded } from "../fixture/seeded.ts";
import { faults } from "./crash.ts";
import { createWorld, instanceOf, type World } from "./world.ts";
import { live, type Weather } from "./year.ts";

/**
 * A year of four instances, lived through by the real functions: functions die at one call in fifty, messages come twice or get lost,
 * Cloud Scheduler is down for half a day, sources are down for a day, one is being updated, and two stand under Tokyo's time.
 */
const at = (time: string): number => Date.parse(`${time}Z`);

const tokyo = "Asia/Tokyo";
const instances: Record<string, Partial<Instance>> = {
  orders: { automatedBackupConfig: daily({ fixedFrequencySchedule: { startTime: { hours: 2 } } }, 7) },
  billing: {
    automatedBackupConfig: daily({ cronSchedule: { cron: "30 1 * * *", timeZone: tokyo } }, 2),
    maintenancePolicy: { weeklyMaintenanceWindow: [...defaultWindows], timeZone: tokyo },
  },
  reports: { automatedBackupConfig: daily({ cronSchedule: { cron: "0 4 * * 0", timeZone: "Etc/UTC" } }, 14) },
  archive: { automatedBackupConfig: daily({ cronSchedule: { cron: "0 6 1 * *", timeZone: "Etc/UTC" } }, 1) },
};

const policies = [
  "collections update orders --keep-daily=7 --keep-weekly=4 --keep-monthly=12 --keep-yearly=2",
  "collections update billing --keep-weekly=3 --keep-monthly=3 --time-zone=Asia/Tokyo",
  "collections update archive --keep-last=3 --minimum-redundancy=2",
];

/** Rarer than in production, where the sweep comes every hour and the reconciliation every half: it is a long year. */
const jobs = [
  { id: "valkeep-sweep", type: "sweep.v1.requested", ...slotted("17 */8 * * *") },
  { id: "valkeep-reconciliation", type: "reconciliation.v1.requested", ...slotted("13 2-22/4 * * *") },
] as const;

/** Written by hand from a calendar: what is there on 2027-01-01 at noon, by the hour in which it was taken, and why. */
const survivors: Record<string, string[]> = {
  orders: [
    "2026-02-28T02", // the newest of each of the last twelve months: January 2026 is the thirteenth
    "2026-03-31T14", // due at 2, but Cloud Scheduler was down until 14
    "2026-04-30T02",
    "2026-05-30T02", // the source was down on the 31st
    "2026-06-15T12", // on demand, for a thousand days
    "2026-06-30T02",
    "2026-07-31T02",
    "2026-08-12T02", // held
    "2026-08-31T02",
    "2026-09-30T02",
    "2026-10-31T02",
    "2026-11-30T02",
    "2026-12-13T02", // the Sundays of the last four weeks
    "2026-12-20T02",
    "2026-12-26T02", // the last seven days
    "2026-12-27T02",
    "2026-12-28T02",
    "2026-12-29T02",
    "2026-12-30T02",
    "2026-12-31T02",
    "2027-01-01T02",
  ],
  billing: [
    "2026-11-29T23", // Monday the 30th at 6 in Tokyo, the newest of November; UPDATING until 8:30
    "2026-12-17T21", // Friday the 18th, 6 in Tokyo: what was due at 1:30 waited for the end of the window
    "2026-12-24T21", // Friday the 25th: nothing starts from Friday, 22, to Monday, 6
    "2026-12-30T21", // Thursday the 31st, the newest of December
    "2026-12-31T21", // Friday the 1st, the newest of the week and of January
  ],
  reports: ["2026-12-20T04", "2026-12-27T04"], // kept for fourteen days
  archive: ["2026-10-01T06", "2026-11-01T06", "2027-01-01T06"], // the last three: the source was down on December 1st
};

it("keeps of a year exactly what a calendar and a pencil keep", { timeout: 300_000 }, async () => {
  const world = createWorld();
  const { weather, counts } = roughWeather(seeded(20260101));
  for (const { id, ...job } of jobs)
    await world.ports.scheduler.put({ id, ...job, timeZone: "Etc/UTC", state: "ENABLED" });
  for (const id of Object.keys(instances)) await settleIn(world, id);
  const until = (time: string): Promise<void> => live(world, at(time), weather);

  await until("2026-02-02T12:00");
  for (const line of policies) expect(await valkeep(line, { ports: world.ports })).toMatchObject({ exitCode: 0 });
  await during(world, "orders", until, ["2026-05-31T00:00", "2026-06-01T00:00"]);
  await until("2026-06-15T12:00");
  await publish(world, "backup.v1.requested", { instance: "orders", backupId: "before-upgrade", ttl: "1000d" });
  await until("2026-07-10T12:00");
  await publish(world, "backup.v1.requested", { instance: "orders", backupId: "before-sale", ttl: "30d" });
  await until("2026-08-15T12:00");
  const [held] = (await backupsOf(world, "orders")).filter(({ createTime }) => createTime.startsWith("2026-08-12T02"));
  await publish(world, "hold.v1.requested", { backup: held?.name ?? "", reason: "an audit" });
  await until("2026-11-29T20:00");
  await change(world, "billing", { state: "UPDATING" });
  await until("2026-11-29T23:30");
  await change(world, "billing", { state: "ACTIVE" });
  await during(world, "archive", until, ["2026-12-01T00:00", "2026-12-02T00:00"]);
  await until("2027-01-01T12:00");

  for (const [id, expected] of Object.entries(survivors)) {
    const active = (await backupsOf(world, id)).filter(({ state }) => state === "ACTIVE");
    expect([id, ...active.map(({ createTime }) => createTime.slice(0, 13))]).toEqual([id, ...expected]);
  }
  expect(counts.crashes).toBeGreaterThan(200);
  expect(counts.duplicates).toBeGreaterThan(200);
  expect(counts.losses).toBeGreaterThan(50);
});

function daily(schedule: Partial<Instance["automatedBackupConfig"]>, days: number): Instance["automatedBackupConfig"] {
  return { automatedBackupMode: "ENABLED", ...schedule, retentionSeconds: days * 86_400 };
}

function slotted(cron: string) {
  return { cron, data: { schedule: { cron, timeZone: "Etc/UTC" } } };
}

/** Everything that goes wrong by chance, and how often it did. */
function roughWeather(random: () => number) {
  const counts = { crashes: 0, duplicates: 0, losses: 0 };
  const weather: Weather = {
    isSchedulerDown: (now) => now >= at("2026-03-31T01:00") && now < at("2026-03-31T14:00"),
    copies() {
      const dice = random();
      if (dice < 0.01) counts.losses++;
      else if (dice < 0.06) counts.duplicates++;
      return dice < 0.01 ? 0 : dice < 0.06 ? 2 : 1;
    },
    faultOf() {
      if (random() >= 0.02) return undefined;
      counts.crashes++;
      return { fault: faults[Math.floor(random() * 4)] ?? "before", effect: Math.floor(random() * 8) };
    },
  };
  return { weather, counts };
}

async function settleIn(world: World, id: string): Promise<void> {
  const endpoint = `127.0.0.1:${7001 + Object.keys(instances).indexOf(id)}`;
  startSource(world, endpoint);
  const instance: Instance = { ...instanceOf(id, endpoint), ...instances[id] };
  await world.ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
  await publish(world, "instance.v1.changed", { instance: id });
}

function startSource(world: World, endpoint: string): void {
  const value = Uint8Array.from(encodeString("v"));
  world.valkey.start(endpoint).shards[0]?.set(keyName(0, "key"), { type: 0, expireTimeMs: -1, value });
}

/** The source of an instance does not answer for a while. */
async function during(world: World, id: string, until: (time: string) => Promise<void>, span: [string, string]) {
  const { endpoint } = (await world.ports.store.get<Instance>(instanceName(id)))?.data ?? { endpoint: "" };
  await until(span[0]);
  world.valkey.stop(endpoint);
  await until(span[1]);
  startSource(world, endpoint);
}

const publish = async <T extends EventType>(world: World, type: T, data: EventMap[T]): Promise<void> =>
  await world.events.publish({ type, data, attributes: {} });

async function change({ ports: { store } }: World, id: string, fields: Partial<Instance>): Promise<void> {
  const doc = await store.get<Instance>(instanceName(id));
  if (doc === undefined) throw new Error(`there is no instance ${id}`);
  await store.commit([{ kind: "put", path: doc.path, data: { ...doc.data, ...fields }, updateTime: doc.updateTime }]);
}

const backupsOf = async (world: World, id: string): Promise<Backup[]> =>
  (await world.ports.store.query<Backup>({ collection: `${collectionName(id)}/backups` }))
    .map(({ data }) => data)
    .sort((a, b) => (a.createTime < b.createTime ? -1 : 1));
