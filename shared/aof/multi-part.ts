import { asStatusError, StatusError } from "../error.ts";
import type { AofManifest } from "./manifest.ts";
import { AofReader, type AofVerdict, type Torn, tornBytesOf } from "./reader.ts";

/** One file of a multi-part AOF, read whole. */
export interface AofFile extends AofVerdict {
  fileName: string;
  type: "BASE" | "INCREMENT";
}

/** The files that a manifest names, in the order in which a server loads them. FAILED_PRECONDITION: there are none. */
export function partsOf({ base, increments }: AofManifest): Pick<AofFile, "fileName" | "type">[] {
  if (base === undefined && increments.length === 0)
    throw new StatusError(
      "FAILED_PRECONDITION",
      "the manifest names no base and no increment: there is nothing in this AOF",
    );
  return [
    ...(base === undefined ? [] : [{ fileName: base.fileName, type: "BASE" as const }]),
    ...increments.map(({ fileName }) => ({ fileName, type: "INCREMENT" as const })),
  ];
}

/**
 * Reads every file that a manifest names, in the order in which a server loads them. `open` gives a file's bytes, by its name.
 * Throws as `AofReader` does, the file named.
 */
export async function readParts(
  manifest: AofManifest,
  open: (fileName: string) => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>,
): Promise<AofFile[]> {
  const parts = partsOf(manifest);
  const files: AofFile[] = [];
  for (const { fileName, type } of parts) {
    const file = { fileName, type, ...(await named(fileName, readWhole(await open(fileName)))) };
    assertPlace(file, files.length + 1 === parts.length);
    files.push(file);
  }
  return files;
}

/**
 * A file may stand in its place: an increment has no RDB file in it, and only the last file may be torn, as for the server
 * (`loadAppendOnlyFiles`, aof.c, 7.0). What another one lacks nobody has, and what follows was written on top of it.
 */
export function assertPlace(
  { fileName, type, base, ...file }: Pick<AofFile, "fileName" | "type"> & Torn & { base?: unknown },
  isLast: boolean,
): void {
  if (type === "INCREMENT" && base !== undefined)
    throw new StatusError("DATA_LOSS", `${fileName} is an RDB file, and its manifest calls it an increment`, {
      offset: 0,
    });
  const tornBytes = tornBytesOf(file);
  if (tornBytes === 0 || isLast) return;
  const offset = file.sizeBytes - tornBytes;
  const message = `${fileName} is torn at byte ${offset}, and another file follows it: what stands there was written after what is lost`;
  throw new StatusError("DATA_LOSS", message, { offset });
}

async function readWhole(source: AsyncIterable<Uint8Array>): Promise<AofVerdict> {
  const reader = new AofReader({ mayBeEmpty: true });
  for await (const chunk of source) reader.write(chunk);
  return reader.end();
}

async function named<T>(fileName: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (cause) {
    const { code, message, offset } = asStatusError(cause);
    if (offset === undefined) throw cause;
    throw new StatusError(code, `${fileName}: ${message}`, { cause, offset });
  }
}
