import { randomUUID } from "node:crypto";
import { crc32c } from "@node-rs/crc32";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ObjectInfo, Objects } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { buckets, type ObjectsSubject, objectsBackends } from "./backends.ts";
import { bytesOf, inChunks } from "./bytes.ts";

const aborted = expect.objectContaining({ code: "ABORTED" });
const unavailable = expect.objectContaining({ code: "UNAVAILABLE" });
const dataLoss = expect.objectContaining({ code: "DATA_LOSS" });

describe.each(objectsBackends)("objects in $name", ({ start }) => {
  let objects: Objects;
  let hold: ObjectsSubject["hold"];
  let retain: ObjectsSubject["retain"];
  let stop: () => Promise<void>;
  beforeAll(async () => ({ objects, hold, retain, stop } = await start()), 30_000);
  afterAll(() => stop());

  /** A name that no other test uses. */
  const fresh = () => `a/${randomUUID().slice(0, 8)}/0.rdb`;
  const stored = (bytes: Uint8Array, object = fresh()): Promise<ObjectInfo> =>
    objects.create("vault", object, inChunks(bytes), {});

  describe("a bucket", () => {
    it.each(Object.entries(buckets))("%s is described", async (bucket, info) => {
      expect(await objects.describe(bucket)).toEqual(info);
    });

    it("that is missing is NOT_FOUND when it is asked for", async () => {
      await expect(objects.describe("missing")).rejects.toEqual(expect.objectContaining({ code: "NOT_FOUND" }));
    });

    it("that is missing is UNAVAILABLE when it is needed", async () => {
      const of = { bucket: "missing", object: "x", generation: "1" };
      await expect(objects.stat("missing", "x")).rejects.toEqual(unavailable);
      await expect(objects.create("missing", "x", inChunks(bytesOf(1)), {})).rejects.toEqual(unavailable);
      await expect(collect(objects.read(of))).rejects.toEqual(unavailable);
      await expect(objects.remove(of)).rejects.toEqual(unavailable);
      await expect(objects.list("missing", "")[Symbol.asyncIterator]().next()).rejects.toEqual(unavailable);
      const { object, generation } = await stored(bytesOf(1));
      const to = { bucket: "missing", object: "x" };
      await expect(objects.copy({ bucket: "vault", object, generation }, to, {})).rejects.toEqual(unavailable);
    });
  });

  it.each(Object.keys(buckets))("an object that is not in %s is undefined", async (bucket) => {
    expect(await objects.stat(bucket, fresh())).toBeUndefined();
  });

  describe("create", () => {
    it.each([
      0, 1, 262_144, 8_388_607, 8_388_608, 8_388_609, 20_000_000,
    ])("stores %i bytes as they are", async (size) => {
      const bytes = bytesOf(size);
      const info = await stored(bytes);
      expect(info.sizeBytes).toBe(size);
      expect(Buffer.from(info.crc32c, "base64").readUInt32BE()).toBe(crc32c(bytes));
      expect((await collect(objects.read(info))).equals(bytes)).toBe(true);
    });

    it("answers what stat answers", async () => {
      const object = fresh();
      const metadata = { operation: "backup-1", shard: "0" };
      const info = await objects.create("vault", object, inChunks(bytesOf(10)), metadata);
      expect(info).toEqual({ ...info, bucket: "vault", object, sizeBytes: 10, metadata });
      expect(info.createTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(await objects.stat("vault", object)).toEqual(info);
    });

    it.each([
      "",
      ".",
      "..",
      "a\nb",
      "a\rb",
      "x".repeat(1025),
    ])("refuses the name %j: INVALID_ARGUMENT", async (object) => {
      const invalid = expect.objectContaining({ code: "INVALID_ARGUMENT" });
      const of = { bucket: "vault", object, generation: "1" };
      await expect(stored(bytesOf(1), object)).rejects.toEqual(invalid);
      await expect(objects.stat("vault", object)).rejects.toEqual(invalid);
      await expect(collect(objects.read(of))).rejects.toEqual(invalid);
      await expect(objects.remove(of)).rejects.toEqual(invalid);
      await expect(objects.copy(of, { bucket: "vault", object: fresh() }, {})).rejects.toEqual(invalid);
    });

    it("takes any name that Cloud Storage takes", async () => {
      const object = `${fresh()}/ü ?#%2F+&.😀`;
      const info = await stored(bytesOf(3), object);
      expect(info.object).toBe(object);
      expect(await collect(objects.read(info))).toEqual(bytesOf(3));
    });

    it("is ABORTED where an object is, which stays", async () => {
      const before = await stored(bytesOf(5));
      await expect(stored(bytesOf(6, 1), before.object)).rejects.toEqual(aborted);
      expect(await collect(objects.read(before))).toEqual(bytesOf(5));
    });

    it("is ABORTED by an object that appears meanwhile, which stays", async () => {
      const object = fresh();
      async function* source() {
        yield bytesOf(100);
        await stored(bytesOf(5), object);
        yield bytesOf(100);
      }
      await expect(objects.create("vault", object, source(), {})).rejects.toEqual(aborted);
      expect((await objects.stat("vault", object))?.sizeBytes).toBe(5);
    });

    it("lets exactly one of twenty win", async () => {
      const object = fresh();
      const results = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => stored(bytesOf(n + 1, n), object)));
      const won = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      const losses = results.flatMap((result) => (result.status === "rejected" ? [result.reason.code] : []));
      expect(won).toEqual([await objects.stat("vault", object)]);
      expect(losses).toEqual(Array(19).fill("ABORTED"));
    });

    it("shows nothing before the source has ended", async () => {
      const object = fresh();
      const seen: unknown[] = [];
      async function* source() {
        yield bytesOf(9_000_000);
        seen.push(await objects.stat("vault", object));
        yield bytesOf(9_000_000);
        seen.push(await objects.stat("vault", object));
      }
      await objects.create("vault", object, source(), {});
      expect(seen).toEqual([undefined, undefined]);
    });

    it.each([
      0, 10, 9_000_000,
    ])("leaves nothing of a source that throws after %i bytes, and throws its error", async (size) => {
      const object = fresh();
      const error = new Error("the source broke");
      async function* source() {
        yield bytesOf(size);
        throw error;
      }
      await expect(objects.create("vault", object, source(), {})).rejects.toBe(error);
      expect(await objects.stat("vault", object)).toBeUndefined();
      expect((await stored(bytesOf(1), object)).sizeBytes).toBe(1);
    });

    it("is cut at once by its signal while the source is silent, and leaves nothing", async () => {
      const object = fresh();
      const cut = new AbortController();
      async function* source() {
        yield bytesOf(10);
        cut.abort(new Error("enough"));
        await new Promise(() => undefined);
      }
      await expect(objects.create("vault", object, source(), {}, cut.signal)).rejects.toThrow("enough");
      expect(await objects.stat("vault", object)).toBeUndefined();
    });

    it("does not begin when its signal is aborted already", async () => {
      const object = fresh();
      const signal = AbortSignal.abort(new Error("enough"));
      await expect(objects.create("vault", object, inChunks(bytesOf(1)), {}, signal)).rejects.toThrow("enough");
      expect(await objects.stat("vault", object)).toBeUndefined();
    });

    it("lets a source go that it does not want to its end", async () => {
      const object = fresh();
      const cut = new AbortController();
      let isReleased = false;
      async function* source() {
        try {
          yield bytesOf(10);
          cut.abort(new Error("enough"));
          yield bytesOf(10);
        } finally {
          isReleased = true;
        }
      }
      await expect(objects.create("vault", object, source(), {}, cut.signal)).rejects.toThrow("enough");
      expect(isReleased).toBe(true);
    });
  });

  describe("compose", () => {
    it("makes one object of several, end to end, and leaves those", async () => {
      const parts = await Promise.all([stored(bytesOf(300_000)), stored(bytesOf(0)), stored(bytesOf(7))]);
      const to = { bucket: "vault", object: fresh() };
      const whole = await objects.compose(parts, to, { operation: "backup-1" });
      const bytes = Buffer.concat([bytesOf(300_000), bytesOf(7)]);
      expect(whole).toMatchObject({ ...to, sizeBytes: 300_007, metadata: { operation: "backup-1" } });
      expect(Buffer.from(whole.crc32c, "base64").readUInt32BE()).toBe(crc32c(bytes));
      expect((await collect(objects.read(whole))).equals(bytes)).toBe(true);
      expect(await objects.stat("vault", parts[0]?.object ?? "")).toEqual(parts[0]);
    });

    it("takes 32 objects, and no more", async () => {
      const part = await stored(bytesOf(3));
      const parts = (count: number) => Array.from({ length: count }, () => part);
      const whole = await objects.compose(parts(32), { bucket: "vault", object: fresh() }, {});
      expect(whole.sizeBytes).toBe(96);
      const invalid = expect.objectContaining({ code: "INVALID_ARGUMENT" });
      await expect(objects.compose(parts(33), { bucket: "vault", object: fresh() }, {})).rejects.toEqual(invalid);
    });

    it("is ABORTED where there is an object, which stays as it is", async () => {
      const [part, there] = [await stored(bytesOf(3)), await stored(bytesOf(5))];
      await expect(objects.compose([part], there, {})).rejects.toEqual(aborted);
      expect(await objects.stat("vault", there.object)).toEqual(there);
    });

    it("is DATA_LOSS where a source is gone, and makes nothing", async () => {
      const [part, gone] = [await stored(bytesOf(3)), await stored(bytesOf(5))];
      await objects.remove(gone);
      const to = { bucket: "vault", object: fresh() };
      await expect(objects.compose([part, gone], to, {})).rejects.toEqual(dataLoss);
      expect(await objects.stat("vault", to.object)).toBeUndefined();
    });
  });

  describe("copy", () => {
    it("makes an object with the same bytes and metadata of its own", async () => {
      const info = await stored(bytesOf(300_000));
      const to = { bucket: "copies-bucket", object: fresh() };
      const copied = await objects.copy(info, to, { operation: "export-1" });
      expect(copied).toEqual({
        ...copied,
        ...to,
        sizeBytes: info.sizeBytes,
        crc32c: info.crc32c,
        metadata: { operation: "export-1" },
      });
      expect((await collect(objects.read(copied))).equals(bytesOf(300_000))).toBe(true);
      expect(await objects.stat(to.bucket, to.object)).toEqual(copied);
    });

    it("is ABORTED where an object is, which stays", async () => {
      const [from, there] = [await stored(bytesOf(5)), await stored(bytesOf(6))];
      await expect(objects.copy(from, there, {})).rejects.toEqual(aborted);
      expect(await objects.stat("vault", there.object)).toEqual(there);
    });

    it("is DATA_LOSS of a generation that is gone", async () => {
      const info = await stored(bytesOf(5));
      await objects.remove(info);
      const to = { bucket: "copies-bucket", object: fresh() };
      await expect(objects.copy(info, to, {})).rejects.toEqual(dataLoss);
      await stored(bytesOf(5), info.object);
      await expect(objects.copy(info, to, {})).rejects.toEqual(dataLoss);
    });

    it("lets exactly one of twenty win", async () => {
      const from = await stored(bytesOf(5));
      const to = { bucket: "copies-bucket", object: fresh() };
      const results = await Promise.allSettled(Array.from({ length: 20 }, () => objects.copy(from, to, {})));
      expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      const losses = results.flatMap((result) => (result.status === "rejected" ? [result.reason.code] : []));
      expect(losses).toEqual(Array(19).fill("ABORTED"));
    });
  });

  describe("remove", () => {
    it("takes the object away, and is fine again", async () => {
      const info = await stored(bytesOf(5));
      await objects.remove(info);
      await objects.remove(info);
      expect(await objects.stat("vault", info.object)).toBeUndefined();
    });

    it("leaves another generation alone", async () => {
      const before = await stored(bytesOf(5));
      await objects.remove(before);
      const after = await stored(bytesOf(5), before.object);
      await objects.remove(before);
      expect(await objects.stat("vault", before.object)).toEqual(after);
    });

    it("is FAILED_PRECONDITION of what a hold keeps, which stays", async () => {
      const info = await stored(bytesOf(5));
      await hold("vault", info.object);
      await expect(objects.remove(info)).rejects.toEqual(expect.objectContaining({ code: "FAILED_PRECONDITION" }));
      expect(await objects.stat("vault", info.object)).toEqual({ ...info, isHeld: true });
    });

    it("is FAILED_PRECONDITION of what a retention policy keeps, which says until when, and fine after that", async () => {
      await retain("copies-bucket", 2);
      const { object } = await objects.create("copies-bucket", fresh(), inChunks(bytesOf(5)), {});
      const info = await objects.stat("copies-bucket", object);
      if (info === undefined) throw new Error("it is not there");
      const until = info.retentionExpirationTime ?? "";
      expect(Date.parse(until) - Date.parse(info.createTime)).toBe(2_000);
      await expect(objects.remove(info)).rejects.toEqual(expect.objectContaining({ code: "FAILED_PRECONDITION" }));
      for await (const listed of objects.list("copies-bucket", object)) expect(listed).toEqual(info);
      await new Promise((resolve) => setTimeout(resolve, Date.parse(until) - Date.now() + 50));
      await objects.remove(info);
      await retain("copies-bucket", 0);
      expect(await objects.stat("copies-bucket", object)).toBeUndefined();
    });
  });

  describe("a hold", () => {
    it("is told by stat and by list, until it is taken away", async () => {
      const info = await stored(bytesOf(5));
      const told = async () => {
        for await (const found of objects.list("vault", info.object))
          return [await objects.stat("vault", info.object), found];
        return [];
      };
      await objects.setHold(info, true);
      expect(await told()).toEqual([
        { ...info, isHeld: true },
        { ...info, isHeld: true },
      ]);
      await objects.setHold(info, false);
      expect(await told()).toEqual([info, info]);
    });

    it("is put on and taken away, and shows", async () => {
      const info = await stored(bytesOf(5));
      expect(info).not.toHaveProperty("isHeld");
      for (const isHeld of [true, true, false, false]) {
        await objects.setHold(info, isHeld);
        expect((await objects.stat("vault", info.object))?.isHeld).toBe(isHeld || undefined);
      }
      await objects.remove(info);
    });

    it("on a generation that is gone is DATA_LOSS", async () => {
      const info = await stored(bytesOf(5));
      await objects.remove(info);
      await expect(objects.setHold(info, true)).rejects.toEqual(dataLoss);
    });
  });

  describe("list", () => {
    const listed = async (prefix: string): Promise<ObjectInfo[]> => {
      const found: ObjectInfo[] = [];
      for await (const info of objects.list("vault", prefix)) found.push(info);
      return found;
    };

    it("answers every object of a prefix as stat does, by name in the order of its bytes", async () => {
      const prefix = fresh();
      const names = ["😀", "b", "a/z", "a", "Z", "\uffee", "a.b"].map((name) => `${prefix}/${name}`);
      for (const name of names) await stored(bytesOf(1), name);
      await stored(bytesOf(1), `${prefix}x`);
      const found = await listed(`${prefix}/`);
      const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(found.map(({ object }) => object)).toEqual(sorted);
      expect(found[0]).toEqual(await objects.stat("vault", sorted[0] ?? ""));
    });

    it("goes on from any name, one that is there included, in the order of its bytes", async () => {
      const prefix = fresh();
      const names = ["a", "a/b", "b", "\uffee", "😀"].map((name) => `${prefix}/${name}`);
      for (const name of names) await stored(bytesOf(1), name);
      const from = async (startOffset: string): Promise<string[]> => {
        const found: string[] = [];
        for await (const { object } of objects.list("vault", `${prefix}/`, { startOffset })) found.push(object);
        return found;
      };
      for (const [n, name] of names.entries()) expect(await from(name)).toEqual(names.slice(n));
      expect(await from(`${prefix}/a0`)).toEqual(names.slice(2));
      expect(await from("")).toEqual(names);
      expect(await from(`${prefix}/😀!`)).toEqual([]);
    });

    it("of a prefix that nothing has is empty", async () => {
      expect(await listed(fresh())).toEqual([]);
    });
  });
});
