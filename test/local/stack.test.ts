import { type ChildProcess, spawn } from "node:child_process";
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Firestore } from "@google-cloud/firestore";
import { PubSub } from "@google-cloud/pubsub";
import { CloudSchedulerClient } from "@google-cloud/scheduler";
import { Storage } from "@google-cloud/storage";
import { credentials } from "@grpc/grpc-js";
import { Valkey } from "iovalkey";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Stack, startStack } from "../../infra/local/stack.ts";
import type { StackFile } from "../../infra/local/stack-file.ts";
import { routes, topicOf } from "../../shared/backup/route.ts";
import { childrenOf, isRunning, until } from "./processes.ts";

const timeout = 120_000;
const source = join(import.meta.dirname, "fixture/functions.ts");

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-stack-"));
});

afterAll(() => rm(directory, { recursive: true }));

describe("a running stack", { timeout }, () => {
  let stack: Stack;
  let seenFile: string;
  const reports: string[] = [];

  beforeAll(async () => {
    seenFile = join(directory, "seen.jsonl");
    process.env.SEEN = seenFile;
    stack = await startStack({ directory, source, report: (line) => reports.push(line) });
  }, timeout);

  afterAll(() => stack.stop());

  interface Seen {
    name: string;
    source: string;
    data: string;
    attributes: Record<string, string>;
  }
  async function seen(wanted: (line: Seen) => boolean): Promise<Seen | undefined> {
    const text = await readFile(seenFile, "utf8").catch(() => "");
    const lines = text.split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as Seen).find(wanted);
  }

  it("says in stack.json where everything is", async () => {
    const file = JSON.parse(await readFile(join(directory, "stack.json"), "utf8"));
    expect(file).toEqual(stack.stack);
    expect(file).toMatchObject({ projectId: "valkeep-local", pid: process.pid });
    expect(Object.keys(file.functions)).toEqual(Object.keys(routes));
  });

  it("has a push subscription with retries and a dead-letter topic for everything that a function hears", async () => {
    const pubsub = new PubSub({ projectId: "valkeep-local", apiEndpoint: stack.stack.pubsub.host });
    const [subscriptions] = await pubsub.getSubscriptions();
    const names = subscriptions.map(({ name }) => name.split("/").at(-1)).sort();
    const heard = Object.entries(routes).flatMap(([name, types]) => types.map((type) => `${topicOf(type)}.${name}`));
    expect(names).toEqual(heard.sort());
    const [metadata] = await pubsub.subscription("valkeep.shard.v1.requested.snapshot").getMetadata();
    const topics = "projects/valkeep-local/topics";
    expect(metadata).toMatchObject({
      topic: `${topics}/valkeep.shard.v1.requested`,
      pushConfig: { pushEndpoint: `${stack.stack.functions.snapshot}/${topics}/valkeep.shard.v1.requested` },
      ackDeadlineSeconds: 600,
      retryPolicy: { minimumBackoff: { seconds: "10" }, maximumBackoff: { seconds: "600" } },
      deadLetterPolicy: { deadLetterTopic: `${topics}/valkeep.dead-letter`, maxDeliveryAttempts: 100 },
    });
    await pubsub.close();
  });

  it("carries a scheduled job's message to its function", async () => {
    const [apiEndpoint, port] = stack.stack.scheduler.host.split(":");
    const sslCreds = credentials.createInsecure();
    const client = new CloudSchedulerClient({ apiEndpoint: apiEndpoint ?? "", port: Number(port), sslCreds });
    const name = client.jobPath("valkeep-local", "asia-northeast1", "valkeep-sweep");
    await client.runJob({ name });
    const { data, source } = await until(() => seen((line) => line.name === "sweep"));
    expect(JSON.parse(data)).toEqual({ schedule: { cron: "17 * * * *", timeZone: "Etc/UTC" } });
    expect(source).toBe("//pubsub.googleapis.com/projects/valkeep-local/topics/valkeep.sweep.v1.requested");
    await client.close();
  });

  it("tells of a file that landed in the inbox", async () => {
    const { apiEndpoint, inboxBucket } = stack.stack.storage;
    const bucket = new Storage({ apiEndpoint, projectId: "valkeep-local" }).bucket(inboxBucket);
    await bucket.file("orders/dump.rdb").save("REDIS0011");
    const { attributes } = await until(() => seen((line) => line.name === "restore"));
    expect(attributes).toMatchObject({ eventType: "OBJECT_FINALIZE", objectId: "orders/dump.rdb" });
  });

  it("has its buckets in one region", async () => {
    const { apiEndpoint, exportBucket } = stack.stack.storage;
    const bucket = new Storage({ apiEndpoint, projectId: "valkeep-local" }).bucket(exportBucket);
    const [metadata] = await bucket.getMetadata();
    expect(metadata).toMatchObject({ location: "ASIA-NORTHEAST1", locationType: "region" });
  });

  it("goes on with its functions after they were killed", async () => {
    const before = stack.pids().functions;
    stack.killFunctions();
    await until(() => stack.pids().functions !== undefined && stack.pids().functions !== before);
    const pubsub = new PubSub({ projectId: "valkeep-local", apiEndpoint: stack.stack.pubsub.host });
    await until(() =>
      fetch(stack.stack.functions.seal ?? "").then(
        () => true,
        () => false,
      ),
    );
    await pubsub.topic("valkeep.seal.v1.requested").publishMessage({ data: Buffer.from("{}") });
    await until(() => seen((line) => line.name === "seal"));
    expect(reports).toContain("functions ended with SIGKILL: starting it again");
    await pubsub.close();
  });

  it("refuses a second one in its directory", async () => {
    await expect(startStack({ directory, functions: false })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/is running already \(pid \d+\)/),
    });
    await access(join(directory, "stack.json"));
  });
});

describe("what a stack held", { timeout }, () => {
  it("is there again after a start, though the stop was killed as it replaced what was saved, and gone after a fresh one", async () => {
    const first = await startStack({ directory, functions: false });
    await write(first);
    await first.stop();
    await rename(join(directory, "firestore"), join(directory, "firestore.whole"));
    await mkdir(join(directory, "firestore"));
    await expect(access(join(directory, "stack.json"))).rejects.toThrow("ENOENT");
    const second = await startStack({ directory, functions: false });
    const kept = await read(second);
    await second.stop();
    const third = await startStack({ directory, functions: false, fresh: true });
    const left = await read(third);
    await third.stop();
    expect(kept).toEqual({ document: { kept: true }, object: "kept", key: "kept", description: "kept" });
    expect(left).toEqual({ document: undefined, object: undefined, key: null, description: "" });
  });

  const clients = ({ stack }: Stack) => {
    const [host = "", port] = stack.firestore.host.split(":");
    const firestore = new Firestore({ projectId: stack.projectId, host, port: Number(port), ssl: false });
    const { apiEndpoint, vaultBucket } = stack.storage;
    const bucket = new Storage({ apiEndpoint, projectId: stack.projectId }).bucket(vaultBucket);
    const [schedulerHost = "", schedulerPort] = stack.scheduler.host.split(":");
    const scheduler = new CloudSchedulerClient({
      apiEndpoint: schedulerHost,
      port: Number(schedulerPort),
      sslCreds: credentials.createInsecure(),
    });
    const [valkeyHost, valkeyPort] = stack.valkey.endpoint.split(":");
    const valkey = new Valkey({ host: valkeyHost ?? "", port: Number(valkeyPort) });
    const tick = scheduler.jobPath(stack.projectId, "asia-northeast1", "valkeep-tick");
    const close = () => Promise.all([firestore.terminate(), scheduler.close(), valkey.quit()]);
    return { document: firestore.doc("kept/it"), object: bucket.file("it"), scheduler, tick, valkey, close };
  };

  async function write(stack: Stack): Promise<void> {
    const { document, object, scheduler, tick, valkey, close } = clients(stack);
    await document.set({ kept: true });
    await object.save("kept");
    await valkey.set("it", "kept");
    await scheduler.updateJob({ job: { name: tick, description: "kept" }, updateMask: { paths: ["description"] } });
    await close();
  }

  async function read(stack: Stack): Promise<object> {
    const { document, object, scheduler, tick, valkey, close } = clients(stack);
    const [exists] = await object.exists();
    const result = {
      document: (await document.get()).data(),
      object: exists ? (await object.download())[0].toString() : undefined,
      key: await valkey.get("it"),
      description: (await scheduler.getJob({ name: tick }))[0].description,
    };
    await close();
    return result;
  }
});

describe("npm run local", { timeout }, () => {
  const main = join(import.meta.dirname, "../../infra/local/main.ts");

  async function run(): Promise<{ child: ChildProcess; pid: number; stack: StackFile; said: string[] }> {
    const flags = ["--directory", directory, "--source", source];
    const child = spawn(process.execPath, [main, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
    const said: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      if (line === "ready") break;
      said.push(line);
    }
    child.stdout.resume();
    const stack = JSON.parse(await readFile(join(directory, "stack.json"), "utf8"));
    return { child, pid: child.pid ?? 0, stack, said };
  }
  const ended = (child: ChildProcess) =>
    new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));

  it("leaves nothing running when it is killed", async () => {
    const { child, pid } = await run();
    const children = childrenOf(pid);
    expect(children.length).toBeGreaterThanOrEqual(6);
    child.kill("SIGKILL");
    await until(() => !children.some(isRunning));
  });

  it("starts where a killed one left off, and stops at SIGTERM though nobody reads what it says", async () => {
    const { child, pid, stack, said } = await run();
    expect(stack.pid).toBe(pid);
    expect(said).toContain(`the command finds it by VALKEEP_STACK=${join(directory, "stack.json")}`);
    const children = childrenOf(pid);
    const end = ended(child);
    child.stdout?.destroy();
    child.kill("SIGTERM");
    expect(await end).toBe(0);
    await until(() => !children.some(isRunning));
    await expect(access(join(directory, "stack.json"))).rejects.toThrow("ENOENT");
  });

  it("says in one sentence what keeps it from starting", async () => {
    const broken = join(directory, "broken.ts");
    await writeFile(broken, 'throw new Error("VALKEEP_SOMETHING is not set");\n');
    const child = spawn(process.execPath, [main, "--directory", directory, "--source", broken], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
    });
    const code = await ended(child);
    expect(said.trim().split("\n")).toHaveLength(1);
    expect(said).toMatch(
      /^functions\S* ended with code 1 before it was ready: .*VALKEEP_SOMETHING is not set.*functions\S*\.log/,
    );
    expect(code).toBe(1);
  });
});
