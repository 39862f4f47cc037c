import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PubSub } from "@google-cloud/pubsub";
import { expect } from "vitest";
import { type Stack, type StackOptions, startStack } from "../../infra/local/stack.ts";
import { startValkey, type ValkeyOptions, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Backup, BackupCollection, Instance } from "../../shared/backup/backup.ts";
import { timeOf } from "../../shared/backup/duration.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import { type InstanceFlags, newInstance } from "../../shared/backup/instance.ts";
import { manifestBytes } from "../../shared/backup/manifest.ts";
import { manifestObject } from "../../shared/backup/name.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { topicOf } from "../../shared/backup/route.ts";
import { storedObjects, storedShards } from "../../shared/backup/stored-object.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { submit } from "../../shared/pipeline/submit.ts";
import { readIndex } from "../../shared/pipeline/vault.ts";
import { check } from "../../shared/rdb/check.ts";
import { factsOf } from "../../shared/rdb/facts.ts";
import { until } from "../fixture/until.ts";
import { type Gate, startGate } from "./gate.ts";

/** The local stack, with everything that a test needs to act on it and to see what came of it. */
export interface Stage extends AsyncDisposable {
  readonly stack: Stack;
  /** The ports of the code itself, on this stack. */
  readonly ports: Ports;
  /** Stops the stack and starts it in the same directory. */
  restart(): Promise<void>;
  /** A server that ends with the stage. */
  valkey(options?: ValkeyOptions): Promise<ValkeyServer>;
  /** A proxy in front of a server that ends with the stage. */
  gate(endpoint: string): Promise<Gate>;
  /** Puts down an Instance as the command would. */
  register(id: string, endpoint: string, flags?: InstanceFlags): Promise<Instance>;
  /** Writes a secret where the functions find it, and answers the reference to it. */
  secret(name: string, text: string): Promise<string>;
  /** Publishes what any client of Pub/Sub could: bytes or JSON. Answers the message's id. */
  publish(type: EventType | "dead-letter", data: unknown, attributes?: Record<string, string>): Promise<string>;
  /** Has an Operation begun, as the command does, and answers its name. */
  ask<T extends EventType>(type: T, data: EventMap[T]): Promise<string>;
  /** The Operation, once it has ended. */
  ended(name: string): Promise<Operation>;
  /** Asks, and waits for the end. */
  done<T extends EventType>(type: T, data: EventMap[T]): Promise<Operation>;
  /** The first Operation that this describes, once there is one. */
  operation(wanted: (operation: Operation) => boolean): Promise<Operation>;
  operations(): Promise<Operation[]>;
  tasks(operation: string): Promise<Task[]>;
  document<T>(path: string): Promise<T | undefined>;
  /** The names of a bucket's objects. */
  objects(bucket: string, prefix?: string): Promise<string[]>;
  /** Arms a fault of the storage server; `armed` tells how many are left. */
  fault(fault: object): Promise<void>;
  armed(): Promise<number>;
  /** Lines that the functions have logged. */
  log(): Promise<Record<string, unknown>[]>;
}

export interface StageOptions extends StackOptions {
  /**
   * Goes on soon with what was left behind: leases of 12 s, which end before Pub/Sub comes again for the second time, and a
   * tick every two seconds. With those of production nobody would touch it for one to two minutes.
   */
  isQuick?: boolean;
}

export async function openStage({ isQuick = false, ...asked }: StageOptions = {}): Promise<Stage> {
  const options = isQuick ? { ...asked, environment: { VALKEEP_LEASE_SECONDS: "12", ...asked.environment } } : asked;
  const directory = await mkdtemp(join(tmpdir(), "valkeep-stage-"));
  const closing: (() => Promise<unknown>)[] = [];
  let stack = await startStack({ ...options, directory, fresh: true }).catch(async (error: unknown) => {
    await rm(directory, { recursive: true, force: true });
    throw error;
  });
  let ports = await portsOf(stack);
  let pubsub = pubsubOf(stack);

  const stage: Stage = {
    get stack() {
      return stack;
    },
    get ports() {
      return ports;
    },
    async restart() {
      await stack.stop();
      for (const name of Object.keys(stack.environment)) delete process.env[name];
      stack = await startStack({ ...options, directory });
      ports = await portsOf(stack);
      pubsub = pubsubOf(stack);
    },
    async valkey(valkeyOptions = {}) {
      const server = await startValkey(valkeyOptions);
      closing.push(() => server.stop());
      return server;
    },
    async gate(endpoint) {
      const gate = await startGate(endpoint);
      closing.push(async () => gate.close());
      return gate;
    },
    async register(id, endpoint, flags = {}) {
      const location = "asia-northeast1";
      const instance = newInstance({ ...flags, id, endpoint, location }, ports.ids.uuid(), timeOf(Date.now()));
      await ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
      return instance;
    },
    async secret(name, text) {
      await writeFile(join(directory, "secrets", name), text);
      return `file:${name}`;
    },
    async publish(type, data, attributes = {}) {
      const bytes = Buffer.isBuffer(data) ? data : Buffer.from(JSON.stringify(data));
      return await pubsub.topic(topicOf(type)).publishMessage({ data: bytes, attributes });
    },
    ask: (type, data) => submit(ports, type, data),
    ended: (name) => until(async () => ifDone(await stage.document<Operation>(name)), `the end of ${name}`),
    async done(type, data) {
      return await stage.ended(await stage.ask(type, data));
    },
    operation: (wanted) =>
      until(async () => (await stage.operations()).find(wanted), "an operation as it was described"),
    operations: async () => (await ports.store.query<Operation>({ collection: "operations" })).map(({ data }) => data),
    tasks: async (operation) =>
      (await ports.store.query<Task>({ collection: `${operation}/tasks` })).map(({ data }) => data),
    document: async <T>(path: string) => (await ports.store.get<T>(path))?.data,
    async objects(bucket, prefix = "") {
      const names: string[] = [];
      for await (const { object } of ports.objects.list(bucket, prefix)) names.push(object);
      return names;
    },
    async fault(fault) {
      const response = await fetch(`${stack.stack.storage.apiEndpoint}/_faults`, {
        method: "POST",
        body: JSON.stringify(fault),
      });
      if (!response.ok) throw new Error(await response.text());
    },
    async armed() {
      const response = await fetch(`${stack.stack.storage.apiEndpoint}/_faults`);
      return ((await response.json()) as unknown[]).length;
    },
    async log() {
      const hosts = Object.entries(stack.logFiles).filter(([name]) => name.startsWith("functions"));
      const texts = await Promise.all(hosts.map(([, file]) => readFile(file, "utf8")));
      const lines = texts.join("\n").split("\n");
      return lines.flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
    },
    async [Symbol.asyncDispose]() {
      const ends = await Promise.allSettled([stack.stop(), ...closing.map((close) => close())]);
      await rm(directory, { recursive: true, force: true });
      for (const end of ends) if (end.status === "rejected") throw end.reason;
    },
  };
  if (isQuick) closing.push(ticking(stage));
  return stage;
}

/** Cloud Scheduler ticks every minute; this every two seconds, until the answer is called. */
export function ticking(stage: Stage): () => Promise<void> {
  const over = new AbortController();
  const ticks = (async () => {
    while (!over.signal.aborted) {
      // While the stack stops, there may be no scheduler to ask.
      await stage.ports.scheduler.run("valkeep-tick").catch(() => undefined);
      await sleep(2_000, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  return async () => {
    over.abort();
    await ticks;
  };
}

/** The code reads its environment once, when it is loaded: only then does it know this stack. */
async function portsOf(stack: Stack): Promise<Ports> {
  Object.assign(process.env, stack.environment);
  const { createPorts } = await import("../../shared/google.ts");
  const { readConfig } = await import("../../shared/config.ts");
  return createPorts(readConfig(process.env));
}

const pubsubOf = ({ stack }: Stack): PubSub =>
  new PubSub({ projectId: stack.projectId, apiEndpoint: stack.pubsub.host, emulatorMode: true });

const ifDone = (operation: Operation | undefined): Operation | undefined =>
  operation?.done === true ? operation : undefined;

/** Every Backup of an instance, and its collection. */
export async function backupsOf(
  stage: Stage,
  instanceId: string,
): Promise<{ backups: Backup[]; collection: BackupCollection | undefined }> {
  const path = `backupCollections/${instanceId}`;
  const found = await stage.ports.store.query<Backup>({ collection: `${path}/backups` });
  return { backups: found.map(({ data }) => data), collection: await stage.document<BackupCollection>(path) };
}

/** Fails unless the backup is ACTIVE and every byte of it is in the bucket, read again, and nothing else is there. */
export async function assertWhole({ ports, objects }: Stage, backup: Backup): Promise<void> {
  const { name, bucket, backupFiles } = backup;
  expect(backup).toMatchObject({ state: "ACTIVE", verification: "CHECKED" });
  const named = storedObjects(backup).map(({ object }) => object);
  expect(await objects(bucket, `${name}/`)).toEqual([...named, manifestObject(name)].sort());
  for (const { backupFile, index } of storedShards(backup))
    if (index !== undefined)
      await readIndex(index, bucket, backupFile.sizeBytes, ports.objects, new AbortController().signal);
  for (const file of backupFiles) {
    const { fileName, createTime, generation, crc32c, sizeBytes } = file;
    const stored = await ports.objects.stat(bucket, `${name}/${fileName}`);
    expect(stored).toMatchObject({ createTime, generation, crc32c, sizeBytes });
    if (stored !== undefined) expect(file).toMatchObject(factsOf(await check(ports.objects.read(stored))));
  }
  const manifest = await ports.objects.stat(bucket, manifestObject(name));
  const bytes = manifest && (await collect(ports.objects.read(manifest)));
  expect(bytes?.toString()).toBe(Buffer.from(manifestBytes(backup)).toString());
}

/**
 * Fails unless nothing is under way and nobody holds anything: no Operation but second looks an hour later, no lock, no
 * pin, no draft, an outbox without anything due, counts that agree.
 */
export async function assertAtRest({ ports, operations }: Stage): Promise<void> {
  const all = async <T>(collection: string) =>
    (await ports.store.query<T>({ collection, group: true })).map(({ data }) => data);
  const soon = timeOf(Date.now() + 600_000);
  const isSecondLook = ({ verb, request }: Operation) =>
    verb === "erase" && Object(request.data).operation !== undefined;
  expect((await operations()).filter((operation) => !operation.done && !isSecondLook(operation))).toEqual([]);
  // What the last commit said is published after it, if its function died then 30 s later, at the next tick.
  const isPublished = async () =>
    (await all<{ relayTime: string }>("outbox")).every(({ relayTime }) => relayTime >= soon);
  await until(isPublished, "an outbox without anything due", 90);
  expect((await all<Instance>("instances")).filter(({ restoring }) => restoring !== undefined)).toEqual([]);
  for (const collection of ["endpoints", "servers"]) expect(await all(collection)).toEqual([]);
  const backups = await all<Backup>("backups");
  expect(backups.filter(({ state, pins }) => state === "CREATING" || pins.length > 0)).toEqual([]);
  for (const { name, creating, totalBackupCount, totalBackupSizeBytes } of await all<BackupCollection>(
    "backupCollections",
  )) {
    const own = backups.filter((backup) => backup.name.startsWith(`${name}/`));
    const sizeBytes = own.reduce((sum, backup) => sum + backup.totalSizeBytes, 0);
    expect({ name, creating, totalBackupCount, totalBackupSizeBytes }).toEqual({
      name,
      creating: undefined,
      totalBackupCount: own.length,
      totalBackupSizeBytes: sizeBytes,
    });
  }
}
