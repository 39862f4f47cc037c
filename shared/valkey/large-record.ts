import { StatusError } from "../error.ts";
import type { RdbRecord } from "../rdb/entry.ts";
import { RunningPayload } from "../rdb/payload.ts";
import { BLOCK_BYTES, type RespWriter } from "./resp-writer.ts";
import { encodeEnd, encodeStart, type RestoreStyle, restoreBytes } from "./restore-command.ts";

/**
 * Writes the RESTORE of a record that no block can hold, a piece of its value after the other, and computes the CRC on
 * the way. The length stands before the value: if the pieces are not exactly as long, the load ends with UNAVAILABLE,
 * and the server, which never saw the whole command, has done nothing.
 */
export async function restoreInPieces(
  writer: RespWriter,
  record: RdbRecord,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  style: RestoreStyle,
): Promise<void> {
  const { key, type, valueStart, valueEnd } = record;
  const payload = new RunningPayload(type, style.magic);
  await writer.flush();
  // A key that fits no block leaves the rest of the command to a block of its own.
  if (restoreBytes(record, 0) > BLOCK_BYTES) {
    const head = new Uint8Array(restoreBytes(record, 0));
    await writer.append(head.subarray(0, encodeStart(head, 0, record, valueEnd - valueStart, style)));
  } else writer.at = encodeStart(writer.block, writer.at, record, valueEnd - valueStart, style);
  await writer.append(payload.header);
  let left = valueEnd - valueStart;
  for await (const piece of pieces) {
    left -= piece.length;
    if (left < 0) break;
    payload.update(piece);
    await writer.append(piece);
  }
  if (left !== 0) {
    const found = left < 0 ? "more" : `${valueEnd - valueStart - left}`;
    throw new StatusError(
      "UNAVAILABLE",
      `bytes ${valueStart} to ${valueEnd} of the file were asked for, and ${found} came`,
      { offset: valueStart },
    );
  }
  await writer.append(payload.footer());
  const end = new Uint8Array(restoreBytes({ ...record, key: key.subarray(0, 0) }, 0));
  await writer.append(end.subarray(0, encodeEnd(end, 0, record, style)));
  writer.commands++;
  writer.fileOffset = valueEnd;
}
