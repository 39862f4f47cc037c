import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { longestManifestBytes } from "../../shared/aof/manifest.ts";
import { parseObjectUri } from "../../shared/backup/name.ts";
import { StatusError } from "../../shared/error.ts";
import { fileSource } from "./file-source.ts";
import { metered } from "./meter.ts";
import type { Session } from "./session.ts";

/** A file's bytes: a path, `gs://…`, or `-` for standard input. Whoever watches sees how much has passed. */
export async function openSource(file: string, session: Session): Promise<AsyncIterable<Uint8Array>> {
  if (file === "-") return metered(session.stdin, 0, session);
  if (!file.startsWith("gs://")) {
    const totalBytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    return metered(fileSource(file, session.signal), totalBytes, session);
  }
  const { bucket, object } = parseObjectUri(file);
  const { ports } = await session.connect();
  const found = await ports.objects.stat(bucket, object);
  if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${file}`);
  return metered(ports.objects.read(found, {}, session.signal), found.sizeBytes, session);
}

/** The manifest that is meant, if one is: named itself, or the only one of a local folder such as `appendonlydir`. */
export function manifestAt(file: string): string | undefined {
  if (file.endsWith(".manifest")) return file;
  if (file.startsWith("gs://") || statSync(file, { throwIfNoEntry: false })?.isDirectory() !== true) return undefined;
  const [name, ...others] = readdirSync(file).filter((entry) => entry.endsWith(".manifest"));
  if (name === undefined)
    throw new StatusError("INVALID_ARGUMENT", `${file} is a directory, and no manifest of an AOF is in it`);
  if (others.length > 0)
    throw new StatusError("INVALID_ARGUMENT", `the folder ${file} has several manifests: name one of them`);
  return join(file, name);
}

/** A file that stands beside another one, here or in a bucket. */
export const beside = (file: string, name: string): string =>
  file.startsWith("gs://") ? `${file.slice(0, file.lastIndexOf("/"))}/${name}` : join(dirname(file), name);

/** A manifest, whole. INVALID_ARGUMENT: it is far too long to be one. */
export async function readSmall(file: string, session: Session): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of await openSource(file, session)) {
    bytes += chunk.length;
    if (bytes > longestManifestBytes)
      throw new StatusError(
        "INVALID_ARGUMENT",
        `${file} is no manifest of an AOF: it is longer than ${longestManifestBytes} bytes`,
      );
    chunks.push(Uint8Array.from(chunk));
  }
  return Buffer.concat(chunks);
}
