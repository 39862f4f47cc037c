import { createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../infra/local/port.ts";
import { createFirestore, createStore } from "../../shared/firestore/store.ts";
import { createObjects } from "../../shared/gcs/objects.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { createEvents } from "../../shared/pubsub/events.ts";
import { createScheduler } from "../../shared/scheduler/scheduler.ts";
import { setVariable } from "./backends.ts";
import { bytesOf, inChunks } from "./bytes.ts";

const unavailable = expect.objectContaining({ code: "UNAVAILABLE" });
const projectId = "unreachable";
const deadlineMs = 400;

describe.each(["nobody answers", "somebody listens and never answers"])("where %s, UNAVAILABLE is what", (how) => {
  const sockets = new Set<Socket>();
  let silent: Server | undefined;
  let port: number;
  beforeAll(async () => {
    port = await freePort();
    if (how === "nobody answers") return;
    silent = createServer((socket) => sockets.add(socket.on("error", () => undefined)));
    await new Promise<void>((resolve) => silent?.listen(port, "127.0.0.1", resolve));
  });
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    silent?.close();
  });

  it("every call of Firestore gets", async () => {
    const restore = setVariable("FIRESTORE_EMULATOR_HOST", `127.0.0.1:${port}`);
    const firestore = createFirestore({ projectId });
    const store = createStore(firestore, { deadlineMs });
    await Promise.all([
      expect(store.get("a/b")).rejects.toEqual(unavailable),
      expect(store.getAll(["a/b", "a/c"])).rejects.toEqual(unavailable),
      expect(store.query({ collection: "a" })).rejects.toEqual(unavailable),
      expect(store.commit([{ kind: "create", path: "a/b", data: {} }])).rejects.toEqual(unavailable),
    ]);
    restore();
  });

  it("a publish gets", async () => {
    const restore = setVariable("PUBSUB_EMULATOR_HOST", `127.0.0.1:${port}`);
    const events = createEvents({ projectId, deadlineMs });
    await expect(events.publish({ type: "tick.v1", data: {}, attributes: {} })).rejects.toEqual(unavailable);
    restore();
  });

  it("every call of Cloud Scheduler gets", async () => {
    const scheduler = createScheduler({ projectId, location: "eu", endpoint: `127.0.0.1:${port}`, deadlineMs });
    const job = {
      id: "a",
      cron: "0 0 * * *",
      timeZone: "Etc/UTC",
      type: "tick.v1",
      data: {},
      state: "ENABLED",
    } as const;
    await Promise.all([
      expect(scheduler.get("a")).rejects.toEqual(unavailable),
      expect(scheduler.put(job)).rejects.toEqual(unavailable),
      expect(scheduler.list()).rejects.toEqual(unavailable),
      expect(scheduler.remove("a")).rejects.toEqual(unavailable),
      expect(scheduler.run("a")).rejects.toEqual(unavailable),
    ]);
    await scheduler.close();
  });

  it("every call of Cloud Storage gets", async () => {
    const limits = { stallMs: 150, giveUpMs: deadlineMs };
    const objects = createObjects({ projectId, apiEndpoint: `http://127.0.0.1:${port}`, limits });
    const of = { bucket: "vault", object: "a", generation: "1" };
    await Promise.all([
      expect(objects.describe("vault")).rejects.toEqual(unavailable),
      expect(objects.stat("vault", "a")).rejects.toEqual(unavailable),
      expect(objects.create("vault", "a", inChunks(bytesOf(10)), {})).rejects.toEqual(unavailable),
      expect(collect(objects.read(of))).rejects.toEqual(unavailable),
      expect(objects.copy(of, { bucket: "copies-bucket", object: "a" }, {})).rejects.toEqual(unavailable),
      expect(objects.remove(of)).rejects.toEqual(unavailable),
      expect(objects.list("vault", "")[Symbol.asyncIterator]().next()).rejects.toEqual(unavailable),
    ]);
  });
});
