import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ObjectInfo, Objects } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { startStorageServer } from "./backends.ts";
import { bytesOf, inChunks } from "./bytes.ts";
import { startLosingProxy } from "./losing-proxy.ts";

const unavailable = expect.objectContaining({ code: "UNAVAILABLE" });
const dataLoss = expect.objectContaining({ code: "DATA_LOSS" });

/** Chunks are 8 MiB: three of them. */
const size = 20_000_000;
const bytes = bytesOf(size);

describe("Cloud Storage that fails", () => {
  let server: Awaited<ReturnType<typeof startStorageServer>>;
  /** Gives up late, and notices a stall soon. */
  let patient: Objects;
  /** Gives up soon. */
  let hasty: Objects;
  beforeAll(async () => {
    server = await startStorageServer();
    patient = server.objects({ stallMs: 150, giveUpMs: 10_000 });
    hasty = server.objects({ stallMs: 100, giveUpMs: 300 });
  });
  afterEach(() => server.call("DELETE", "/_faults"));
  afterAll(() => server.stop());

  const fail = (fault: object): Promise<void> => server.call("POST", "/_faults", fault);
  const fresh = () => `a/${randomUUID().slice(0, 8)}/0.rdb`;
  const put = { method: "PUT", upload: true };
  const media = { media: true };

  describe("while an object is stored", () => {
    const stored = async (objects: Objects, object = fresh()): Promise<ObjectInfo> =>
      objects.create("vault", object, inChunks(bytes), {});

    it.each([
      ["answers a chunk with 503 before it reads it", { kind: "status", status: 503 }],
      ["answers a chunk with 500 in its middle", { kind: "status", status: 500, afterBytes: 3_000_000 }],
      ["answers 429 three times", { kind: "status", status: 429, times: 3 }],
      ["answers 408", { kind: "status", status: 408 }],
      ["resets the connection before a chunk", { kind: "reset" }],
      ["resets the connection in a chunk", { kind: "reset", afterBytes: 3_000_001 }],
      ["resets the connection in two chunks", { kind: "reset", afterBytes: 300_000, times: 2 }],
      ["falls silent in a chunk", { kind: "stall", afterBytes: 3_000_001 }],
      ["falls silent before a chunk", { kind: "stall" }],
      ["resets the connection behind a chunk", { kind: "reset", afterBytes: 8_388_607 }],
    ])("and %s, the whole object arrives", async (_, fault) => {
      await fail({ match: put, ...fault });
      const info = await stored(patient);
      expect(info.sizeBytes).toBe(size);
      expect((await collect(patient.read(info))).equals(bytes)).toBe(true);
    });

    it("and fails the start of the session, the whole object arrives", async () => {
      await fail({ match: { method: "POST", upload: true }, kind: "status", status: 503 });
      expect((await stored(patient)).sizeBytes).toBe(size);
    });

    it("and answers nothing but 503, the upload is UNAVAILABLE after a while and leaves nothing", async () => {
      await fail({ match: put, kind: "status", status: 503, times: 1000 });
      const object = fresh();
      await expect(stored(hasty, object)).rejects.toEqual(unavailable);
      expect(await hasty.stat("vault", object)).toBeUndefined();
    });

    it("and takes every chunk but never keeps one, the upload is UNAVAILABLE after a while", async () => {
      await fail({ match: put, kind: "status", status: 503, afterBytes: 8_000_000, times: 1000 });
      await expect(stored(hasty)).rejects.toEqual(unavailable);
    });

    it("and is silent for ever, the upload is UNAVAILABLE after a while, though the source is silent too", async () => {
      await fail({ match: put, kind: "stall", times: 1000 });
      async function* source() {
        yield bytes;
        await new Promise(() => undefined);
      }
      await expect(hasty.create("vault", fresh(), source(), {})).rejects.toEqual(unavailable);
    });

    it("and changes a byte on its way, the upload is UNAVAILABLE and leaves nothing", async () => {
      await fail({ match: put, kind: "corrupt", afterBytes: 1_000_000 });
      const object = fresh();
      await expect(stored(patient, object)).rejects.toEqual(unavailable);
      expect(await patient.stat("vault", object)).toBeUndefined();
    });

    it.each(["200", "308"])("and an answer of %s is lost, the whole object arrives once", async (status) => {
      const proxy = await startLosingProxy(server.url, Number(status));
      const objects = proxy.objects({ stallMs: 1_000, giveUpMs: 10_000 });
      const info = await stored(objects);
      expect(proxy.lost()).toBe(1);
      expect(info).toEqual(await patient.stat("vault", info.object));
      expect((await collect(patient.read(info))).equals(bytes)).toBe(true);
      proxy.stop();
    });

    it("and is started again in the middle, the whole object arrives", async () => {
      async function* source() {
        yield bytes.subarray(0, 15_000_000);
        await server.restart();
        yield bytes.subarray(15_000_000);
      }
      const info = await patient.create("vault", fresh(), source(), {});
      expect((await collect(patient.read(info))).equals(bytes)).toBe(true);
    });

    it("and is silent, a signal cuts the upload at once", async () => {
      await fail({ match: put, kind: "stall", times: 1000 });
      const objects = server.objects({ stallMs: 60_000, giveUpMs: 60_000 });
      const cut = new AbortController();
      setTimeout(() => cut.abort(new Error("enough")), 100);
      await expect(objects.create("vault", fresh(), inChunks(bytes), {}, cut.signal)).rejects.toThrow("enough");
    });
  });

  /** How much it brought: bytes that came against all expectation would take gigabytes to print. */
  const sizeOf = async (reading: AsyncIterable<Uint8Array>) => (await collect(reading)).length;

  describe("while an object is read", () => {
    let info: ObjectInfo;
    beforeAll(async () => {
      info = await patient.create("vault", fresh(), inChunks(bytes), {});
    });

    it.each([
      ["answers 503", { kind: "status", status: 503 }],
      ["answers 429 three times", { kind: "status", status: 429, times: 3 }],
      ["resets the connection before the first byte", { kind: "reset" }],
      ["resets the connection in the middle", { kind: "reset", afterBytes: 3_000_001 }],
      ["resets the connection again and again", { kind: "reset", afterBytes: 1_000_000, times: 15 }],
      ["falls silent before the first byte", { kind: "stall" }],
      ["falls silent in the middle", { kind: "stall", afterBytes: 3_000_001 }],
    ])("and %s, every byte arrives once", async (_, fault) => {
      await fail({ match: media, ...fault });
      expect((await collect(patient.read(info))).equals(bytes)).toBe(true);
    });

    it("and breaks off a part of it, every byte of the part arrives once", async () => {
      await fail({ match: media, kind: "reset", afterBytes: 1_000_000, times: 3 });
      const part = await collect(patient.read(info, { start: 1_000_003, end: 9_000_001 }));
      expect(part.equals(bytes.subarray(1_000_003, 9_000_001))).toBe(true);
    });

    it("and is started again in the middle, every byte arrives once", async () => {
      const parts: Buffer[] = [];
      for await (const chunk of patient.read(info)) {
        parts.push(Buffer.from(chunk));
        if (parts.length === 50) await server.restart();
      }
      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    });

    it("and changes a byte on its way, the end is DATA_LOSS", async () => {
      await fail({ match: media, kind: "corrupt", afterBytes: 1_000_000 });
      await expect(sizeOf(patient.read(info))).rejects.toEqual(dataLoss);
    });

    it("and changes a byte after it broke off, the end is DATA_LOSS", async () => {
      await fail({ match: media, kind: "reset", afterBytes: 1_000_000 });
      await fail({ match: media, kind: "corrupt", afterBytes: 1_000_000 });
      await expect(sizeOf(patient.read(info))).rejects.toEqual(dataLoss);
    });

    it.each([
      "status",
      "stall",
      "reset",
    ])("and does nothing but %s, the read is UNAVAILABLE after a while", async (kind) => {
      await fail({ match: media, kind, times: 1000 });
      await expect(sizeOf(hasty.read(info))).rejects.toEqual(unavailable);
    });

    it("and the object is removed while it is broken off, the read is DATA_LOSS", async () => {
      const gone = await patient.create("vault", fresh(), inChunks(bytes), {});
      await fail({ match: media, kind: "reset", afterBytes: 9_000_000 });
      const reading = patient.read(gone)[Symbol.asyncIterator]();
      await reading.next();
      await patient.remove(gone);
      const rest = { [Symbol.asyncIterator]: () => reading };
      await expect(sizeOf(rest)).rejects.toEqual(dataLoss);
    });

    it("a consumer slower than the patience loses nothing", async () => {
      const parts: Buffer[] = [];
      for await (const chunk of hasty.read(info, { end: 3_000_000 })) {
        if (parts.length === 1) await new Promise((resolve) => setTimeout(resolve, 500));
        parts.push(Buffer.from(chunk));
      }
      expect(Buffer.concat(parts).equals(bytes.subarray(0, 3_000_000))).toBe(true);
    });

    it("and is silent, a signal cuts the read at once", async () => {
      await fail({ match: media, kind: "stall", afterBytes: 100_000 });
      const objects = server.objects({ stallMs: 60_000, giveUpMs: 60_000 });
      const cut = new AbortController();
      setTimeout(() => cut.abort(new Error("enough")), 100);
      await expect(sizeOf(objects.read(info, {}, cut.signal))).rejects.toThrow("enough");
    });
  });

  it("a copy that is answered 503 twice is made", async () => {
    const from = await patient.create("vault", fresh(), inChunks(bytesOf(10)), {});
    await fail({ match: { method: "POST", pathIncludes: "/rewriteTo/" }, kind: "status", status: 503, times: 2 });
    expect((await patient.copy(from, { bucket: "copies-bucket", object: fresh() }, {})).sizeBytes).toBe(10);
  });

  it("a copy in several calls is made whole", async () => {
    const large = bytesOf(70_000_000);
    const from = await patient.create("vault", fresh(), inChunks(large), {});
    const to = { bucket: "copies-bucket", object: fresh() };
    const { sizeBytes, crc32c, metadata } = await patient.copy(from, to, { operation: "export-1" });
    expect({ sizeBytes, crc32c, metadata }).toEqual({
      sizeBytes: from.sizeBytes,
      crc32c: from.crc32c,
      metadata: { operation: "export-1" },
    });
  });

  describe("a copy that was cut short", () => {
    const page = 64 << 20;
    const large = bytesOf(2 * page + 1000);
    let from: ObjectInfo;
    beforeAll(async () => {
      from = await patient.create("vault", fresh(), inChunks(large), {});
    });

    /** Copies until the first page is through, and answers how to go on. */
    async function begun(to: { bucket: string; object: string }): Promise<string> {
      const cut = new AbortController();
      let heard = "";
      const onProgress = (_: number, resume: string) => {
        heard = resume;
        cut.abort(new Error("enough"));
      };
      await expect(patient.copy(from, to, {}, cut.signal, { onProgress })).rejects.toThrow("enough");
      return heard;
    }

    it("goes on where it was", async () => {
      const to = { bucket: "copies-bucket", object: fresh() };
      const resume = await begun(to);
      const pages: number[] = [];
      const copied = await patient.copy(from, to, {}, undefined, { resume, onProgress: (bytes) => pages.push(bytes) });
      expect(copied).toMatchObject({ sizeBytes: from.sizeBytes, crc32c: from.crc32c });
      expect(pages).toEqual([2 * page]);
    });

    it("begins anew where that is not known any more, or is of another copy", async () => {
      const other = await begun({ bucket: "copies-bucket", object: fresh() });
      for (const resume of ["no-such-token", other]) {
        const pages: number[] = [];
        const to = { bucket: "copies-bucket", object: fresh() };
        const copied = await patient.copy(from, to, {}, undefined, {
          resume,
          onProgress: (bytes) => pages.push(bytes),
        });
        expect(copied).toMatchObject({ ...to, sizeBytes: from.sizeBytes, crc32c: from.crc32c });
        expect(pages).toEqual([page, 2 * page]);
      }
    });
  });
});
