import { StatusError } from "../error.ts";

/** Where one file can be cut, `<shard>.index.json` beside it. Derived from the file's bytes alone: the same file, the same index. */
export interface FileIndex {
  /** How far apart its borders are: the first one at or behind each multiple of this. */
  borderBytes: number;
  sizeBytes: number;
  /** The running CRC64 of all bytes before the footer's checksum, 16 hex digits. */
  crc64: string;
  /** By offset, from the start on; neither the start nor the end of the file is among them. */
  borders: Border[];
}

/** A place between two records, at which a part may begin or end: `rdb/reader.ts` finds it. */
export interface Border {
  offset: number;
  /** The database that is selected there. */
  database: number;
  /** Keys before it, and how many of them have an expiry. */
  keys: number;
  expires: number;
  /** The running CRC64 of all bytes before it, 16 hex digits. */
  crc64: string;
}

/** An index that is larger is not read: that of a file of 1 TB has 2 MB. */
export const largestIndexBytes = 8_000_000;

/** A file with fewer borders is small enough to be loaded whole, and has no index. */
export const isWorthKeeping = ({ borders }: { borders: readonly unknown[] }): boolean => borders.length >= 2;

/** The index as it is stored, the same bytes each time. */
export function indexBytes({ borderBytes, sizeBytes, crc64, borders }: Readonly<FileIndexLike>): Uint8Array {
  const lines = borders.map(({ offset, database, keys, expires, crc64: before }) =>
    JSON.stringify({ offset, database, keys, expires, crc64: before }),
  );
  const head = JSON.stringify({ indexVersion: 1, borderBytes, sizeBytes, crc64 }).slice(0, -1);
  return new TextEncoder().encode(`${head},"borders":[\n${lines.join(",\n")}\n]}\n`);
}

type FileIndexLike = Omit<FileIndex, "borders"> & { borders: readonly Readonly<Border>[] };

/** Reads the index of a file of `sizeBytes` and checks that it can be one; DATA_LOSS says where it is not. `name`: of the object. */
export function parseIndex(bytes: Uint8Array, name: string, sizeBytes: number): FileIndex {
  const damaged = (what: string, cause?: unknown) =>
    new StatusError("DATA_LOSS", `${name} is damaged: ${what}`, { cause });
  let index: Partial<FileIndex> & { indexVersion?: unknown };
  try {
    index = Object(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw damaged("it is not JSON", cause);
  }
  const { indexVersion, borderBytes, crc64, borders } = index;
  if (indexVersion !== 1)
    throw new StatusError("UNIMPLEMENTED", `${name} has version ${String(indexVersion)}, expected 1`);
  if (index.sizeBytes !== sizeBytes)
    throw damaged(`it is of a file of ${String(index.sizeBytes)} bytes, expected ${sizeBytes}`);
  if (!isCount(borderBytes) || borderBytes === 0) throw damaged("it does not tell how far apart its borders are");
  if (!isCrc64(crc64)) throw damaged("it has no CRC64 of the whole");
  if (!Array.isArray(borders)) throw damaged("it has no list of borders");
  let before: Border = { offset: 0, database: 0, keys: 0, expires: 0, crc64 };
  for (const [n, border] of borders.entries()) {
    if (!isBorder(border) || border.offset >= sizeBytes) throw damaged(`border ${n} is none`);
    const rises = border.offset > before.offset && border.keys > before.keys && border.expires >= before.expires;
    if (!rises) throw damaged(`border ${n} does not come after the one before it`);
    before = border;
  }
  return { borderBytes, sizeBytes, crc64, borders };
}

const isCrc64 = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{16}$/.test(value);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

function isBorder(value: unknown): value is Border {
  const { offset, database, keys, expires, crc64 } = Object(value);
  return [offset, database, keys, expires].every(isCount) && isCrc64(crc64);
}
