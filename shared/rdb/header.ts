import { damaged, unsupported } from "./damage.ts";
import { type Magic, supportedVersions } from "./family.ts";

/** Which tables a file is read with. */
export type Format = { readonly magic: Magic; readonly rdbVersion: number };

/** `REDIS` and 4 digits, or `VALKEY` and 3. */
export const headerBytes = 9;

/** From this RDB version on a file ends with a CRC64. */
export const firstVersionWithCrc = 5;

/**
 * The format that a file's first nine bytes name. DATA_LOSS if it is no RDB file at all, UNIMPLEMENTED if it is one of a
 * version that this reader was not checked against.
 */
export function readHeader(bytes: Uint8Array): Format {
  const text = Buffer.from(bytes).toString("latin1");
  const magic: Magic | undefined = text.startsWith("REDIS")
    ? "REDIS"
    : text.startsWith("VALKEY")
      ? "VALKEY"
      : undefined;
  const digits = magic === undefined ? "" : text.slice(magic.length);
  if (magic === undefined || !/^\d+$/.test(digits)) {
    throw damaged("this is not an RDB file, which begins with REDIS or VALKEY and a version", 0);
  }
  const format: Format = { magic, rdbVersion: Number(digits) };
  requireSupported(format, magic.length);
  return format;
}

/** Throws UNIMPLEMENTED for a version outside of the family's tables. */
export function requireSupported({ magic, rdbVersion }: Format, offset: number): void {
  const { lowest, highest } = supportedVersions[magic];
  if (rdbVersion >= lowest && rdbVersion <= highest) return;
  const expected = lowest === highest ? `${lowest}` : `${lowest} to ${highest}`;
  throw unsupported(`${magic} RDB version ${rdbVersion}; this reader knows ${expected}`, offset);
}

/** The header of a file, as `readHeader` reads it. */
export function encodeHeader({ magic, rdbVersion }: Format): Uint8Array {
  return Buffer.from(magic + String(rdbVersion).padStart(headerBytes - magic.length, "0"), "latin1");
}
