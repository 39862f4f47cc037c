import { damaged } from "./damage.ts";
import { limits } from "./limits.ts";

/**
 * Expands one LZF block (liblzf, lzf_d.c) to exactly `length` bytes. `offset` is where the block stands in the file, for
 * the error: DATA_LOSS if the block points before its start, ends early, or makes more or fewer bytes than it claims.
 */
export function expandLzf(block: Uint8Array, length: number, offset: number): Uint8Array {
  // Before there is memory for it: the length may be a lie.
  if (length > block.length * limits.lzfRatio) throw damaged("an LZF block claims to hold more than LZF can", offset);
  const output = new Uint8Array(length);
  let read = 0;
  let written = 0;
  const take = (): number => {
    const byte = block[read];
    if (byte === undefined) throw damaged("an LZF block ends within a run", offset + read);
    read++;
    return byte;
  };
  while (read < block.length) {
    const control = take();
    if (control < 32) {
      const count = control + 1;
      if (read + count > block.length || written + count > length) {
        throw damaged("an LZF literal runs past the end of its block", offset + read);
      }
      output.set(block.subarray(read, read + count), written);
      read += count;
      written += count;
      continue;
    }
    const count = 2 + (control >> 5 === 7 ? 7 + take() : control >> 5);
    let from = written - ((control & 0x1f) << 8) - take() - 1;
    if (from < 0 || written + count > length) {
      throw damaged("an LZF reference points outside its block", offset + read);
    }
    // Byte by byte, as a reference may overlap with what it writes.
    for (const end = written + count; written < end; written++, from++) output[written] = output[from] as number;
  }
  if (written !== length) throw damaged(`an LZF block holds ${written} bytes, not ${length}`, offset);
  return output;
}
