import { crc32c } from "@node-rs/crc32";
import { later } from "../backup/duration.ts";
import { StatusError } from "../error.ts";
import type { BucketInfo, ObjectInfo, Objects } from "../pipeline/ports.ts";

type Generation = Pick<ObjectInfo, "bucket" | "object" | "generation">;

interface Stored {
  info: ObjectInfo;
  bytes: Buffer;
}

/** Objects with what a test does to them behind the port's back. */
export interface MemoryObjects extends Objects {
  /** Why this object cannot be removed, until it is released: a hold or a retention policy. */
  hold(bucket: string, object: string, reason?: string): void;
  release(bucket: string, object: string): void;
  /** Gives a bucket a retention policy: it keeps each object for so many seconds from its creation; 0 takes it away. */
  retain(bucket: string, seconds: number): void;
  /** Flips one bit of what is stored, and leaves its CRC32C as it was. */
  corrupt(bucket: string, object: string, offset: number): void;
  /** What is stored; `undefined` where nothing is. */
  contents(bucket: string, object: string): Buffer | undefined;
}

/** A bucket in memory; protected as a vault should be, where the test does not say otherwise. */
export type MemoryBucket = Omit<BucketInfo, "protection"> & Partial<Pick<BucketInfo, "protection">>;

const wellProtected: BucketInfo["protection"] = {
  publicAccessPrevention: "enforced",
  uniformBucketLevelAccess: true,
  versioning: false,
  softDeleteSeconds: 604_800,
  retentionSeconds: 0,
};

/** Objects in memory, in the buckets that are handed in. Reads come in chunks of `chunkBytes`, 16 KiB by default. */
export function createMemoryObjects(
  buckets: Record<string, MemoryBucket>,
  options: { chunkBytes?: number; now?: () => number } = {},
): MemoryObjects {
  const { chunkBytes = 16_384, now = () => Date.UTC(2026, 0, 1) } = options;
  const stored = new Map<string, Stored>();
  const holds = new Map<string, string>();
  const retentions = new Map<string, number>();
  let generations = 1_700_000_000_000_000;

  function find(bucket: string, object: string): Stored | undefined {
    assertName(object);
    assertBucket(bucket);
    return stored.get(uri(bucket, object));
  }

  function assertBucket(bucket: string): MemoryBucket {
    const info = Object.hasOwn(buckets, bucket) ? buckets[bucket] : undefined;
    if (info === undefined) throw new StatusError("UNAVAILABLE", `bucket ${bucket} does not exist: create it`);
    return info;
  }

  function assertFree(bucket: string, object: string): void {
    if (find(bucket, object) !== undefined)
      throw new StatusError("ABORTED", `${uri(bucket, object)}: expected no object, found one`);
  }

  function keep(bucket: string, object: string, bytes: Buffer, metadata: Record<string, string>): ObjectInfo {
    assertFree(bucket, object);
    generations += 1;
    const info = {
      bucket,
      object,
      generation: String(generations),
      sizeBytes: bytes.length,
      crc32c: base64(crc32c(bytes)),
      createTime: new Date(now()).toISOString(),
      metadata: { ...metadata },
    };
    const kept = { info, bytes };
    stored.set(uri(bucket, object), kept);
    return shown(kept);
  }

  /** What the bucket says of an object now: its own facts, and what keeps it. */
  function shown({ info }: Stored): ObjectInfo {
    const seconds = retentions.get(info.bucket) ?? 0;
    return {
      ...info,
      metadata: { ...info.metadata },
      ...(seconds > 0 && { retentionExpirationTime: later(info.createTime, seconds) }),
      ...(holds.has(uri(info.bucket, info.object)) && { isHeld: true }),
    };
  }

  /** Why an object cannot be removed now. */
  function keeperOf(of: Stored): string | undefined {
    const { bucket, object, retentionExpirationTime = "" } = shown(of);
    if (Date.parse(retentionExpirationTime) > now()) return `a retention policy, until ${retentionExpirationTime},`;
    return holds.get(uri(bucket, object));
  }

  function pinned({ bucket, object, generation }: Generation): Stored {
    const found = find(bucket, object);
    if (found?.info.generation === generation) return found;
    throw new StatusError("DATA_LOSS", `${uri(bucket, object)}#${generation} is gone: it was deleted or replaced`);
  }

  return {
    async describe(bucket) {
      if (!Object.hasOwn(buckets, bucket)) throw new StatusError("NOT_FOUND", `bucket ${bucket} does not exist`);
      return { protection: wellProtected, ...assertBucket(bucket) };
    },
    async stat(bucket, object) {
      const found = find(bucket, object);
      return found && shown(found);
    },
    async create(bucket, object, source, metadata, signal) {
      signal?.throwIfAborted();
      assertFree(bucket, object);
      return keep(bucket, object, await drained(source, signal), metadata);
    },
    async *read(of, { start = 0, end = Number.POSITIVE_INFINITY, fleeting = false } = {}, signal) {
      signal?.throwIfAborted();
      const { info, bytes } = pinned(of);
      const last = Math.min(end, bytes.length);
      for (let at = start; at < last; at += chunkBytes) {
        signal?.throwIfAborted();
        const chunk = Uint8Array.from(bytes.subarray(at, Math.min(at + chunkBytes, last)));
        yield chunk;
        // Whoever looks at it still, although it has said that it would not, finds that out.
        if (fleeting) chunk.fill(0xdd);
      }
      if (start === 0 && last === bytes.length && base64(crc32c(bytes)) !== info.crc32c)
        throw new StatusError("DATA_LOSS", `${uri(of.bucket, of.object)}#${of.generation}: its CRC32C does not agree`);
    },
    async copy(from, to, metadata, signal) {
      signal?.throwIfAborted();
      const { bytes } = pinned(from);
      return keep(to.bucket, to.object, Buffer.from(bytes), metadata);
    },
    async compose(sources, { bucket, object }, metadata, signal) {
      signal?.throwIfAborted();
      assertFree(bucket, object);
      if (sources.length === 0 || sources.length > 32)
        throw new StatusError("INVALID_ARGUMENT", `composing ${uri(bucket, object)} of ${sources.length} objects`);
      const parts = sources.map((source) => pinned({ bucket, ...source }).bytes);
      return keep(bucket, object, Buffer.concat(parts), metadata);
    },
    async remove({ bucket, object, generation }) {
      const name = uri(bucket, object);
      const found = find(bucket, object);
      if (found?.info.generation !== generation) return;
      const reason = keeperOf(found);
      if (reason !== undefined) throw new StatusError("FAILED_PRECONDITION", `removing ${name}: ${reason} keeps it`);
      stored.delete(name);
    },
    async setHold(of, isHeld) {
      pinned(of);
      if (isHeld) holds.set(uri(of.bucket, of.object), "a temporary hold");
      else holds.delete(uri(of.bucket, of.object));
    },
    async *list(bucket, prefix, { startOffset = "" } = {}) {
      assertBucket(bucket);
      const wanted = [...stored.values()]
        .filter(({ info }) => info.bucket === bucket && info.object.startsWith(prefix))
        .filter(({ info }) => compareBytes(info.object, startOffset) >= 0);
      yield* wanted.map(shown).sort((a, b) => compareBytes(a.object, b.object));
    },
    hold: (bucket, object, reason = "a hold") => void holds.set(uri(bucket, object), reason),
    release: (bucket, object) => void holds.delete(uri(bucket, object)),
    retain: (bucket, seconds) => void retentions.set(bucket, seconds),
    corrupt(bucket, object, offset) {
      const bytes = find(bucket, object)?.bytes;
      if (bytes === undefined || offset >= bytes.length)
        throw new StatusError("NOT_FOUND", `${uri(bucket, object)} has no byte ${offset}`);
      bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    },
    contents: (bucket, object) => find(bucket, object)?.bytes,
  };
}

/** The whole source, unless the signal comes first: then the source is told to end and not waited for. */
async function drained(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const chunks: Buffer[] = [];
  try {
    for (;;) {
      const { done, value } = await Promise.race([iterator.next(), aborted]);
      signal?.throwIfAborted();
      if (done) return Buffer.concat(chunks);
      chunks.push(Buffer.from(value));
    }
  } catch (error) {
    void iterator.return?.().catch(() => undefined);
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** Cloud Storage's rules: 1 to 1,024 bytes, no line breaks, not `.` or `..`. */
function assertName(object: string): void {
  const sizeBytes = Buffer.byteLength(object);
  if (sizeBytes >= 1 && sizeBytes <= 1024 && !/[\r\n]/.test(object) && object !== "." && object !== "..") return;
  throw new StatusError(
    "INVALID_ARGUMENT",
    `malformed object name ${JSON.stringify(object.slice(0, 100))}: expected 1 to 1024 bytes without line breaks`,
  );
}

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

const uri = (bucket: string, object: string): string => `gs://${bucket}/${object}`;

function base64(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString("base64");
}
