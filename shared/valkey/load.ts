import { defaultMaxBulkBytes } from "../backup/target.ts";
import { StatusError } from "../error.ts";
import type { LoadOptions, LoadResult, LoadSource, Server } from "../pipeline/ports.ts";
import { payloadFooterBytes } from "../rdb/payload.ts";
import { records } from "../rdb/records.ts";
import type { Address } from "./address.ts";
import { describe } from "./describe.ts";
import { dropUnfinished, fence } from "./fence.ts";
import { Link } from "./link.ts";
import { loadFailure } from "./load-failure.ts";
import { LoadWriter } from "./load-writer.ts";
import { Pipeline } from "./pipeline.ts";

/** Replies are 5 bytes each: small slabs hold thousands. */
const SLAB_BYTES = 128 * 1024;

/**
 * Writes every record of the file into the server, over one named connection, pipelined. Memory is bounded by a few
 * blocks, whatever a value's size: what the reader does not hold is read a second time, by range. When it ends early,
 * what the server has carried out stays there, and the rest is dropped.
 */
export async function load(
  address: Address,
  source: LoadSource,
  options: LoadOptions,
  signal: AbortSignal,
  { silenceMs }: { silenceMs?: number } = {},
): Promise<LoadResult> {
  const server = await describe(address, signal);
  requireFit(address, server, source);
  const link = await Link.open(address, signal, { slabBytes: SLAB_BYTES });
  try {
    await fence(link, address, options, signal);
    const { facts } = source;
    const pipeline = new Pipeline(link, address, {
      failure: (kind, text) => loadFailure(address, server, facts, kind, text),
      silenceMs,
    });
    const result = await pipeline.run(signal, (over) =>
      writeAll(new LoadWriter(pipeline, source, options, over), source, over),
    );
    options.onProgress?.({ offset: facts.sizeBytes, database: 0, crc64: "", result });
    return result;
  } catch (error) {
    link.close();
    await dropUnfinished(address, options);
    throw error;
  } finally {
    link.close();
  }
}

async function writeAll(writer: LoadWriter, source: LoadSource, signal: AbortSignal): Promise<LoadResult> {
  for await (const batch of records(source.read({ start: 0 }, signal))) {
    for (const entry of batch) {
      const slow = writer.write(entry);
      // Awaiting each of millions of entries that fit their block would cost more than writing them.
      if (slow !== undefined) await slow;
    }
  }
  return writer.result;
}

/** Before the first byte is written: what the server would refuse anyway. */
function requireFit({ endpoint }: Address, server: Server, { facts }: LoadSource): void {
  if (server.role === "REPLICA") {
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${endpoint} is a read-only replica: name its primary as the endpoint`,
    );
  }
  const payloadBytes = facts.largestRecordBytes + payloadFooterBytes;
  const { maxBulkBytes = defaultMaxBulkBytes } = server;
  if (payloadBytes > maxBulkBytes) {
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${endpoint} takes values of ${maxBulkBytes} bytes at most, the file holds one of ${payloadBytes}: ` +
        "raise proto-max-bulk-len, or let the server load the file itself",
    );
  }
}
