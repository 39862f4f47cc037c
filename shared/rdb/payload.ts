import { Crc64 } from "./crc64.ts";
import { unsupported } from "./damage.ts";
import type { Magic } from "./family.ts";
import { valueTypes } from "./types.ts";

/** What RESTORE takes around a value: its payload is `header`, the value as in the file, `footer`. */
export type DumpPayload = { readonly header: Uint8Array; readonly footer: Uint8Array };

/** Bytes of the footer: the RDB version and the CRC64. */
export const payloadFooterBytes = 10;

/** Bytes that a payload is longer than its value: the type before it, the footer behind it. */
export const payloadExtraBytes = 1 + payloadFooterBytes;

/**
 * The ends of the payload for a value of a file. The version in the footer is the lowest that the type needs, so that a
 * server older than the one that wrote the file takes it too. UNIMPLEMENTED for a type that the family does not have.
 */
export function dumpPayload(type: number, value: Uint8Array, magic: Magic): DumpPayload {
  const payload = new RunningPayload(type, magic);
  payload.update(value);
  return { header: payload.header, footer: payload.footer() };
}

/** The same for a value that is too large to be held: send `header`, then each piece, then `footer()`. */
export class RunningPayload {
  readonly header: Uint8Array;
  readonly #crc = new Crc64();
  readonly #rdbVersion: number;

  constructor(type: number, magic: Magic) {
    const valueType = valueTypes[magic][type];
    if (valueType === undefined) throw unsupported(`no ${magic} value has the type ${type}`, 0);
    this.#rdbVersion = valueType.minimumRdbVersion;
    this.header = Uint8Array.of(type);
    this.#crc.updateByte(type);
  }

  update(piece: Uint8Array): void {
    this.#crc.update(piece);
  }

  footer(): Uint8Array {
    const footer = new Uint8Array(payloadFooterBytes);
    // Two bytes, little-endian; no version is above 255.
    footer[0] = this.#rdbVersion;
    this.#crc.updateByte(this.#rdbVersion);
    this.#crc.updateByte(0);
    this.#crc.writeTo(footer, 2);
    return footer;
  }
}
