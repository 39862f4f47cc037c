import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ObjectInfo, Objects } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { objectsBackends } from "./backends.ts";
import { bytesOf, inChunks } from "./bytes.ts";

describe.each(objectsBackends)("a read of an object in $name", ({ start }) => {
  let objects: Objects;
  let stop: () => Promise<void>;
  beforeAll(async () => ({ objects, stop } = await start()), 30_000);
  afterAll(() => stop());

  /** A name that no other test uses. */
  const fresh = () => `a/${randomUUID().slice(0, 8)}/0.rdb`;
  const stored = (bytes: Uint8Array, object = fresh()): Promise<ObjectInfo> =>
    objects.create("vault", object, inChunks(bytes), {});
  const dataLoss = expect.objectContaining({ code: "DATA_LOSS" });

  const size = 300_000;
  it.each([
    [{}, 0, size],
    [{ start: 0, end: size }, 0, size],
    [{ start: 1 }, 1, size],
    [{ end: 7 }, 0, 7],
    [{ start: 99_999, end: 100_001 }, 99_999, 100_001],
    [{ start: size - 1 }, size - 1, size],
    [{ start: 5, end: size + 100 }, 5, size],
    [{ start: size }, size, size],
    [{ start: size + 5, end: size + 6 }, size, size],
    [{ start: 10, end: 10 }, 10, 10],
    [{ start: 11, end: 10 }, 10, 10],
  ])("of %j gives the bytes from %i to %i", async (range, from, to) => {
    const info = await stored(bytesOf(size));
    const bytes = await collect(objects.read(info, range));
    expect(bytes.equals(bytesOf(size).subarray(from, to))).toBe(true);
  });

  it("comes in several chunks", async () => {
    let chunks = 0;
    for await (const chunk of objects.read(await stored(bytesOf(size)))) chunks += Math.sign(chunk.length);
    expect(chunks).toBeGreaterThan(1);
  });

  it("leaves its chunks to whoever keeps them", async () => {
    const chunks = await Array.fromAsync(objects.read(await stored(bytesOf(size))));
    expect(Buffer.concat(chunks).equals(bytesOf(size))).toBe(true);
  });

  it("that is fleeting gives the same bytes, and takes back the memory of those that were passed", async () => {
    const seen: { chunk: Uint8Array; copy: Uint8Array }[] = [];
    for await (const chunk of objects.read(await stored(bytesOf(size)), { fleeting: true }))
      seen.push({ chunk, copy: Uint8Array.from(chunk) });
    expect(Buffer.concat(seen.map(({ copy }) => copy)).equals(bytesOf(size))).toBe(true);
    expect(seen.some(({ chunk, copy }) => Buffer.compare(chunk, copy) !== 0)).toBe(true);
  });

  it("is DATA_LOSS of an object that is gone", async () => {
    const info = await stored(bytesOf(10));
    await objects.remove(info);
    await expect(collect(objects.read(info))).rejects.toEqual(dataLoss);
  });

  it("is DATA_LOSS of a generation that was replaced", async () => {
    const info = await stored(bytesOf(10));
    await objects.remove(info);
    await stored(bytesOf(10), info.object);
    await expect(collect(objects.read(info))).rejects.toEqual(dataLoss);
  });

  it("can be left in the middle", async () => {
    for await (const chunk of objects.read(await stored(bytesOf(9_000_000)))) if (chunk.length > 0) break;
  });

  it("is cut by its signal in the middle", async () => {
    const cut = new AbortController();
    const reading = objects.read(await stored(bytesOf(9_000_000)), {}, cut.signal)[Symbol.asyncIterator]();
    await reading.next();
    cut.abort(new Error("enough"));
    await expect(reading.next()).rejects.toThrow("enough");
  });

  it("does not begin when its signal is aborted already", async () => {
    const info = await stored(bytesOf(10));
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(collect(objects.read(info, {}, signal))).rejects.toThrow("enough");
  });
});
