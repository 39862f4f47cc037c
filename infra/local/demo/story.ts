import type { Backup, Instance } from "../../../shared/backup/backup.ts";
import { day, later, timeOf } from "../../../shared/backup/duration.ts";
import type { EventMap, EventType } from "../../../shared/backup/event.ts";
import { newInstance } from "../../../shared/backup/instance.ts";
import { backupName, fileObject } from "../../../shared/backup/name.ts";
import type { Operation } from "../../../shared/backup/operation.ts";
import { inReview } from "../../../shared/backup/review.ts";
import { decideAll } from "../../../shared/pipeline/catalogue.ts";
import { identityOf, operationIdFor } from "../../../shared/pipeline/identity.ts";
import type { Ports } from "../../../shared/pipeline/ports.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { checkTable } from "../../cli/check-table.ts";
import { shortBackupName } from "../../cli/names.ts";
import { table } from "../../cli/table.ts";
import { localLocation } from "../environment.ts";
import { fill, holdings } from "./data.ts";
import { follow, mega, type Row, say, show } from "./show.ts";

/** Where the demo plays. */
interface Stage {
  source: string;
  second: string;
  third: string;
  exportBucket: string;
}

/** Plays the whole life of a backup and answers what came of each part. */
export async function play(ports: Ports, stage: Stage): Promise<Row[]> {
  const rows: Row[] = [];
  const act = async (what: string, work: () => Promise<[outcome: string, isRight: boolean]>): Promise<void> => {
    say(what);
    const start = performance.now();
    const [outcome, isRight] = await work();
    say(`  ${isRight ? "" : "NOT RIGHT: "}${outcome}`);
    rows.push({ what, outcome, isRight, seconds: (performance.now() - start) / 1000 });
  };
  const ask = async <T extends EventType>(type: T, data: EventMap[T]): Promise<Operation> =>
    await follow(ports, await submit(ports, type, data));
  const nightly = { name: "" };

  await act("fill a Valkey with keys of every type", async () => {
    await fill(stage.source);
    const { keys } = await holdings(stage.source);
    return [`${keys} keys, 2 databases, 1 function library`, keys > 250_000];
  });
  await act("register it, a backup every day at 02:00 UTC", async () => {
    const operation = await register(ports, "orders", stage.source, true);
    for (const [id, endpoint] of [
      ["second", stage.second],
      ["third", stage.third],
    ] as const)
      await register(ports, id, endpoint, false);
    const job = await ports.scheduler.get("valkeep-backup-orders");
    return [`Cloud Scheduler job ${job?.id}, ${job?.cron}`, operation.error === undefined && job?.state === "ENABLED"];
  });
  await act("Cloud Scheduler fires: an automated backup", async () => {
    const job = await ports.scheduler.get("valkeep-backup-orders");
    const publishTime = timeOf(ports.clock.now());
    await ports.scheduler.run("valkeep-backup-orders");
    const identity = identityOf(job?.data, { messageId: "", publishTime });
    const operation = await follow(ports, `operations/${operationIdFor("backup.v1.requested", identity)}`);
    nightly.name = String(operation.response?.backup ?? "");
    const backup = (await ports.store.get<Backup>(nightly.name))?.data;
    const file = backup?.backupFiles[0];
    return [
      `${backup?.state}, ${backup?.verification}, ${mega(backup?.totalSizeBytes ?? 0)}, ${file?.keys} keys, CRC64 ${file?.crc64}`,
      backup?.state === "ACTIVE" && backup.verification === "CHECKED",
    ];
  });
  await act("export it to a bucket of the operator's", async () => {
    const { response, error } = await ask("export.v1.requested", {
      backup: nightly.name,
      gcsBucket: stage.exportBucket,
    });
    return [error?.message ?? `${mega(Number(response?.sizeBytes))} in ${response?.uri}`, error === undefined];
  });
  await act("only check whether a restore would go (--dry-run)", async () => {
    const { checks = [], error } = await ask("restore.v1.requested", {
      instance: "second",
      backup: nightly.name,
      dryRun: true,
    });
    show(checkTable(checks));
    const { keys } = await holdings(stage.second);
    const passed = checks.filter(({ result }) => result === "PASS").length;
    return [
      error?.message ?? `${passed} of ${checks.length} checks PASS, the target holds ${keys} keys`,
      error === undefined && checks.length > 0 && keys === 0,
    ];
  });
  await act("restore it into an empty Valkey", async () => {
    const { response, error } = await ask("restore.v1.requested", { instance: "second", backup: nightly.name });
    return [error?.message ?? `${response?.keys} keys`, error === undefined];
  });
  await act("compare both, key by key (DEBUG DIGEST)", async () => await compare(stage.source, stage.second));
  await act("a restore into an instance that holds keys", async () => {
    const { error } = await ask("restore.v1.requested", { instance: "second", backup: nightly.name });
    return [`refused: ${error?.message}`, error?.code === "FAILED_PRECONDITION"];
  });
  await act("drop an RDB file into the inbox: it is restored", async () => {
    const { inboxBucket: bucket } = ports.settings;
    const source = await ports.objects.stat(stage.exportBucket, fileObject(nightly.name, 0));
    if (source === undefined) return ["the exported file is not there", false];
    const { object, generation } = await ports.objects.copy(
      source,
      { bucket, object: "third/from-the-export.rdb" },
      {},
    );
    const identity = identityOf({ bucket, object, generation }, { messageId: "", publishTime: "" });
    const { response, error } = await follow(ports, `operations/${operationIdFor("object.v1.finalized", identity)}`);
    return [error?.message ?? `${response?.keys} keys`, error === undefined];
  });
  await act("compare again", async () => await compare(stage.source, stage.third));
  await act("another backup, on demand, so that the first may go", async () => {
    const { error } = await ask("backup.v1.requested", { instance: "orders", backupId: "on-demand", ttl: "14d" });
    return [error?.message ?? backupName("orders", "on-demand"), error === undefined];
  });
  await act("36 days pass (its times are moved): a dry run, a sweep", async () => {
    await age(ports, nightly.name, 36);
    show(table([["BACKUP", "ACTION", "REASON"], ...(await decided(ports))]));
    const { response } = await ask("sweep.v1.requested", {});
    await rest(ports, "delete");
    const state = (await ports.store.get<Backup>(nightly.name))?.data.state;
    return [
      `${response?.expired} expired; it is ${state} and can be undeleted for a day`,
      response?.expired === 1 && state === "DELETING",
    ];
  });
  await act("two days pass: the next sweep erases it", async () => {
    await age(ports, nightly.name, 2);
    await ask("sweep.v1.requested", {});
    await rest(ports, "erase");
    const left: string[] = [];
    for await (const { object } of ports.objects.list(ports.settings.vaultBucket, "")) left.push(object);
    const isGone =
      (await ports.store.get(nightly.name)) === undefined &&
      left.every((object) => !object.startsWith(`${nightly.name}/`));
    return [`gone; ${left.length} objects of the other one are left`, isGone && left.length === 2];
  });
  return rows;
}

async function register(ports: Ports, id: string, endpoint: string, isAutomated: boolean): Promise<Operation> {
  const now = timeOf(ports.clock.now());
  const flags = {
    id,
    endpoint,
    location: localLocation,
    automatedBackupMode: isAutomated ? "enabled" : "disabled",
    startTimeHours: "2",
  };
  const instance: Instance = newInstance(flags, ports.ids.uuid(), now);
  const name = await submit(ports, "instance.v1.changed", { instance: id }, async (change) => {
    if ((await change.read(instance.name)) === undefined) change.put(instance.name, instance);
  });
  return await follow(ports, name);
}

async function compare(source: string, target: string): Promise<[string, boolean]> {
  const [wanted, found] = await Promise.all([holdings(source), holdings(target)]);
  const isSame = JSON.stringify(wanted) === JSON.stringify(found);
  return [
    `${isSame ? "the same" : "DIFFERENT"}: ${found.keys} of ${wanted.keys} keys, digest ${found.digest.slice(0, 12)}…`,
    isSame,
  ];
}

/** Moves a backup's times into the past, as if so many days had gone by. */
async function age(ports: Ports, name: string, days: number): Promise<void> {
  const doc = await ports.store.get<Backup>(name);
  if (doc === undefined) throw new Error(`there is no ${name}`);
  const { expireTime, purgeTime } = doc.data;
  const data = inReview({
    ...doc.data,
    expireTime: later(expireTime, -days * day),
    ...(purgeTime && { purgeTime: later(purgeTime, -days * day) }),
  });
  await ports.store.commit([{ kind: "put", path: name, data, updateTime: doc.updateTime }]);
}

/** What a sweep would do with each backup, and why. */
async function decided({ store, clock }: Ports): Promise<string[][]> {
  const rows: string[][] = [];
  for await (const decisions of decideAll(store, timeOf(clock.now()), AbortSignal.timeout(10_000)))
    for (const { backup, action, reason } of decisions) rows.push([shortBackupName(backup), action, reason]);
  return rows;
}

/** Until every Operation of this verb has ended. */
async function rest(ports: Ports, verb: string): Promise<void> {
  for (;;) {
    const operations = await ports.store.query<Operation>({ collection: "operations", where: [["verb", "==", verb]] });
    for (const { path, data } of operations) if (!data.done) await follow(ports, path);
    if (operations.every(({ data }) => data.done)) return;
  }
}
