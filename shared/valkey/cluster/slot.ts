import { slotCount } from "../../backup/slots.ts";

/** CRC16 of the XMODEM kind, polynomial 0x1021 (the cluster specification, appendix A). */
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/** The slot of a key: of what stands between its first `{` and the next `}`, if that is anything. Each key passes here. */
export function slotOf(key: Uint8Array): number {
  const { length } = key;
  let from = 0;
  let to = length;
  let brace = 0;
  while (brace < length && key[brace] !== 0x7b) brace++;
  if (brace < length) {
    const end = key.indexOf(0x7d, brace + 1);
    if (end > brace + 1) {
      from = brace + 1;
      to = end;
    }
  }
  let crc = 0;
  for (let at = from; at < to; at++) crc = ((crc << 8) & 0xffff) ^ (table[(crc >> 8) ^ (key[at] as number)] as number);
  return crc & (slotCount - 1);
}
