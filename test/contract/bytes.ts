import { createHash } from "node:crypto";

/** So many bytes that look random and are the same each time. */
export function bytesOf(sizeBytes: number, seed = 0): Buffer {
  const block = createHash("shake256", { outputLength: 65_521 }).update(String(seed)).digest();
  const bytes = Buffer.allocUnsafe(sizeBytes);
  for (let at = 0; at < sizeBytes; at += block.length) block.copy(bytes, at);
  return bytes;
}

/** The bytes in chunks of odd sizes, and one empty. The buffer that carries them is used again, as a socket's is. */
export async function* inChunks(bytes: Uint8Array, chunkBytes = 99_991): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(chunkBytes);
  yield buffer.subarray(0, 0);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const part = bytes.subarray(at, at + chunkBytes);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
  }
}
