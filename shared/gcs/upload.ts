import { createChecksum } from "./checksum.ts";
import { giveBack } from "./give-back.ts";
import { cancelSession, type Ending, type Session, sendChunk } from "./session.ts";

/** Two buffers of this size are all that an upload holds. Measured: 16 MiB is no faster. A multiple of 256 KiB, as chunks must be. */
const chunkBytes = 8 << 20;

/** What was sent, and the JSON resource that Cloud Storage made of it; empty where it did not say. */
export interface Uploaded {
  sizeBytes: number;
  crc32c: string;
  resource: string;
}

/**
 * Sends a source through a session, filling one chunk while the one before is under way. The last one, which makes the
 * object, goes out only after the source has ended, and the server refuses it if the CRC32C is not that of the source.
 * A source that throws: the session is cancelled and its error thrown. A session that fails, or a signal that is
 * aborted, ends it at once, even while the source is silent; the source is told to end.
 */
export async function upload(
  session: Session,
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<Uploaded> {
  const over = new AbortController();
  const input = pull(source, signal);
  const chunks = createChunks(session, AbortSignal.any([over.signal, ...(signal === undefined ? [] : [signal])]));
  chunks.failed.catch(input.fail);
  try {
    for (let bytes = await input.next(); bytes !== undefined; bytes = await input.next()) await chunks.add(bytes);
    return await chunks.finish();
  } catch (error) {
    over.abort();
    await chunks.settled();
    if (input.hasThrown()) await cancelSession(session);
    throw error;
  } finally {
    await input.end();
  }
}

/** Fills chunks, and sends each when the next byte shows that it is not the last. */
function createChunks(session: Session, signal: AbortSignal) {
  const { promise: failed, reject: fail } = Promise.withResolvers<never>();
  const checksum = createChecksum();
  let buffer = Buffer.allocUnsafeSlow(chunkBytes);
  let spare: Buffer<ArrayBuffer> | undefined;
  let start = 0;
  let filled = 0;
  let sending: Promise<string | undefined> = Promise.resolve(undefined);

  function dispatch(ending?: Ending): Promise<string | undefined> {
    const sent = sendChunk(session, start, buffer.subarray(0, filled), ending, signal);
    sent.catch(fail);
    return sent;
  }

  return {
    /** Rejects as soon as a chunk cannot be sent. */
    failed,
    async add(bytes: Uint8Array): Promise<void> {
      checksum.add(bytes);
      for (let from = 0; from < bytes.length; ) {
        if (filled === chunkBytes) {
          await sending;
          sending = dispatch();
          [buffer, spare] = [spare ?? Buffer.allocUnsafeSlow(chunkBytes), buffer];
          start += filled;
          filled = 0;
        }
        const part = bytes.subarray(from, from + chunkBytes - filled);
        buffer.set(part, filled);
        filled += part.length;
        from += part.length;
      }
    },
    async finish(): Promise<Uploaded> {
      await sending;
      const sizeBytes = start + filled;
      const crc32c = checksum.value();
      sending = dispatch({ totalBytes: sizeBytes, crc32c });
      const resource = (await sending) ?? "";
      giveBack(buffer);
      if (spare !== undefined) giveBack(spare);
      return { sizeBytes, crc32c, resource };
    },
    settled: (): Promise<unknown> => Promise.allSettled([sending]),
  };
}

/** A source that can be left while it is silent. */
function pull(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined) {
  const iterator = source[Symbol.asyncIterator]();
  let failure: { reason: unknown } | undefined;
  let hasThrown = false;
  let isWaiting = false;
  let isDone = false;
  let wake: (() => void) | undefined;
  const fail = (reason: unknown) => {
    failure ??= { reason };
    wake?.();
  };
  const aborted = () => fail(signal?.reason);
  signal?.addEventListener("abort", aborted, { once: true });

  function next(): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) aborted();
      if (failure !== undefined) return reject(failure.reason);
      wake = () => reject(failure?.reason);
      isWaiting = true;
      iterator.next().then(
        (result) => {
          isWaiting = false;
          isDone = result.done === true;
          resolve(result.done ? undefined : result.value);
        },
        (error) => {
          isWaiting = false;
          isDone = true;
          hasThrown = failure === undefined;
          reject(error);
        },
      );
    });
  }

  return {
    /** The next bytes, or `undefined` at the end; rejects when the source throws, or at once after `fail`. */
    next,
    fail,
    hasThrown: () => hasThrown,
    /** Lets the source go. One that is silent is not waited for: it might never answer. Its complaints come too late. */
    async end(): Promise<void> {
      signal?.removeEventListener("abort", aborted);
      if (isDone) return;
      const ended = Promise.resolve(iterator.return?.()).catch(() => undefined);
      if (!isWaiting) await ended;
    },
  };
}
