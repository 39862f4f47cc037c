import { StatusError } from "../../error.ts";
import type { Magic } from "../../rdb/family.ts";
import { RunningPayload } from "../../rdb/payload.ts";
import type { Link } from "../link.ts";
import type { LargeValue } from "./block.ts";

/**
 * Sends the RESTORE of a value that no block can hold, a piece after the other, and computes the CRC on the way. The
 * length stands before the value: if the pieces are not exactly as long, the load ends with UNAVAILABLE, and the server,
 * which never saw the whole command, has done nothing.
 */
export async function restoreInPieces(
  link: Link,
  head: Uint8Array,
  { type, start, end, tail }: LargeValue,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { magic, moved }: { magic: Magic; moved: () => void },
): Promise<void> {
  const payload = new RunningPayload(type, magic);
  await link.write(Buffer.concat([head, payload.header]));
  let left = end - start;
  for await (const piece of pieces) {
    left -= piece.length;
    if (left < 0) break;
    payload.update(piece);
    await link.write(piece);
    moved();
  }
  if (left !== 0) {
    const found = left < 0 ? "more" : `${end - start - left}`;
    const message = `bytes ${start} to ${end} of the file were asked for, and ${found} came`;
    throw new StatusError("UNAVAILABLE", message, { offset: start });
  }
  await link.write(Buffer.concat([payload.footer(), tail]));
}
