import { slotCount } from "../../backup/slots.ts";

/** CRC16 of the XMODEM kind, polynomial 0x1021 (the cluster specification, appendix A): of a byte, and of one that a zero follows. */
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});
const tableBefore = table.map((crc) => ((crc << 8) & 0xffff) ^ (table[crc >> 8] as number));

/**
 * The slot of a key: of what stands between its first `{` and the next `}`, if that is anything. The key is `bytes`, or those of them
 * between the two places. Each key of a load passes here.
 */
export function slotOf(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let from = start;
  let to = end;
  let brace = start;
  while (brace < end && bytes[brace] !== 0x7b) brace++;
  if (brace < end) {
    let close = brace + 1;
    while (close < end && bytes[close] !== 0x7d) close++;
    if (close < end && close > brace + 1) {
      from = brace + 1;
      to = close;
    }
  }
  let crc = 0;
  let at = from;
  // Two bytes at once take no longer than one, as neither lookup waits for the other.
  for (; at + 1 < to; at += 2) {
    const first = (crc >> 8) ^ (bytes[at] as number);
    const second = (crc & 0xff) ^ (bytes[at + 1] as number);
    crc = (tableBefore[first] as number) ^ (table[second] as number);
  }
  if (at < to) crc = ((crc << 8) & 0xffff) ^ (table[(crc >> 8) ^ (bytes[at] as number)] as number);
  return crc & (slotCount - 1);
}
