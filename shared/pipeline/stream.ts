/** The same bytes; `onProgress` hears how many have passed. */
export async function* sizeOf(
  source: AsyncIterable<Uint8Array>,
  onProgress: (doneBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let doneBytes = 0;
  for await (const chunk of source) {
    doneBytes += chunk.byteLength;
    onProgress(doneBytes);
    yield chunk;
  }
}

/** The source, ended only after the lease was renewed: its end is what finishes an object. */
export async function* lastAfter(
  source: AsyncIterable<Uint8Array>,
  renew: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  yield* source;
  await renew();
}

/** A small object, whole. Copied: a source may use its buffer again, and the `slice` of a Buffer is a view. */
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}

/** Bytes as a stream of one chunk. */
export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
