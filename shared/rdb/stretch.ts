import type { Format } from "./header.ts";
import type { Checkpoint, Stretch } from "./reader.ts";

/** A part of a file as documents and messages name it: the CRC64s as 16 hexadecimal digits. */
export type NamedStretch = {
  readonly startOffset: number;
  readonly endOffset?: number;
  readonly database: number;
  readonly crc64?: { readonly before: string; readonly after: string };
};

/** Where an earlier reading had come to; `crc64` is empty where it was not reckoned. */
export type NamedMark = { readonly offset: number; readonly database: number; readonly crc64: string };

/** What is left to read of a file, or of a part of it, behind a mark; undefined: all of the file. */
export function stretchLeft(format: Format, stretch?: NamedStretch, from?: NamedMark): Stretch | undefined {
  if (stretch === undefined && from === undefined) return undefined;
  const { magic, rdbVersion } = format;
  const crc64 = stretch?.crc64;
  const before = from?.crc64 ?? crc64?.before ?? "";
  return {
    magic,
    rdbVersion,
    startOffset: from?.offset ?? stretch?.startOffset ?? 0,
    endOffset: stretch?.endOffset,
    db: from?.database ?? stretch?.database ?? 0,
    crc64:
      before === "" ? undefined : { before: numberOf(before), after: crc64?.after ? numberOf(crc64.after) : undefined },
  };
}

/** The mark that a checkpoint is. */
export const markAt = ({ offset, db, crc64 }: Checkpoint): NamedMark => ({
  offset,
  database: db,
  crc64: crc64?.toString(16).padStart(16, "0") ?? "",
});

const numberOf = (digits: string): bigint => BigInt(`0x${digits}`);
