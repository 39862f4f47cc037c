import type { FileHandle } from "node:fs/promises";
import { crc32c } from "@node-rs/crc32";

/** How much of a file is there and what its CRC32C is up to that place. */
export interface Progress {
  position: number;
  crc: number;
}

/** Bytes gathered before they are written: enough that a system call's cost does not show. */
const batchBytes = 512 * 1024;

/**
 * Writes a body into a file from `from.position` on. What had arrived when the body broke off is in the file all the
 * same, for an interrupted upload goes on from there. Chunks are copied into two buffers, of which one is filled while
 * the other is written: a chunk that is let go of at once is freed cheaply, and memory stays constant.
 */
export async function receive(body: AsyncIterable<Buffer>, file: FileHandle, from: Progress): Promise<Progress> {
  let { position, crc } = from;
  let [filling, writing] = [Buffer.allocUnsafeSlow(batchBytes), Buffer.allocUnsafeSlow(batchBytes)];
  let filled = 0;
  let written: Promise<unknown> = Promise.resolve();
  const flush = async () => {
    const failure = await written;
    if (failure !== undefined) throw failure;
    written = writeAll(file, filling.subarray(0, filled), position - filled).catch((error: unknown) => error);
    [filling, writing, filled] = [writing, filling, 0];
  };
  try {
    for await (const chunk of body) {
      crc = crc32c(chunk, crc);
      for (let copied = 0; copied < chunk.length; ) {
        const bytes = chunk.copy(filling, filled, copied);
        copied += bytes;
        filled += bytes;
        position += bytes;
        if (filled === batchBytes) await flush();
      }
    }
  } finally {
    await flush();
    await flush();
  }
  return { position, crc };
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
