import type { RdbIndex } from "./border.ts";
import { RdbReader } from "./reader.ts";
import type { RdbSummary } from "./summary.ts";

/** Reads a whole file and says what is in it. Throws as `RdbReader` does: DATA_LOSS or UNIMPLEMENTED, with the offset. */
export async function check(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<RdbSummary> {
  const reader = new RdbReader();
  for await (const chunk of source) reader.write(chunk);
  return reader.end();
}

/**
 * Passes a file through as it is, and ends only if it was a whole, valid RDB file: otherwise it throws what is wrong in
 * place of the end, so that an upload fed by it fails. Tells the summary, and where the file can be cut, just before it ends.
 */
export async function* checked(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  onSummary?: (summary: RdbSummary, index: RdbIndex) => void,
  options: { readonly borderBytes?: number | undefined } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new RdbReader(options);
  for await (const chunk of source) {
    reader.write(chunk);
    yield chunk;
  }
  // Outside of the call: the arguments of an optional call are not even evaluated without a callee.
  const summary = reader.end();
  onSummary?.(summary, reader.index());
}
