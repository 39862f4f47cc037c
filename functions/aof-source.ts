import { longestManifestBytes, parseManifest } from "../shared/aof/manifest.ts";
import { assertPlace, partsOf } from "../shared/aof/multi-part.ts";
import { parseObjectUri } from "../shared/backup/name.ts";
import type { ReplayFile } from "../shared/backup/operation.ts";
import { StatusError } from "../shared/error.ts";
import type { Objects, Ports } from "../shared/pipeline/ports.ts";
import type { Work } from "../shared/pipeline/step.ts";
import { collect } from "../shared/pipeline/stream.ts";
import { placesOf, type ReadFile, readFiles, type SourceFile } from "./source.ts";

/** What a restore of files in a bucket brings: RDB files, then the commands of an AOF. */
export interface Sources {
  files: SourceFile[];
  logs: ReplayFile[];
}

/** A plan names every file of an AOF: a server that cannot rewrite it leaves some dozens. */
const mostIncrements = 500;

/** By its name, as a server writes it: `appendonly.aof.manifest`. */
const isManifest = (uri: string): boolean => uri.endsWith(".manifest");

/**
 * Reads what URIs name: RDB files, one AOF with or without an RDB preamble, or the manifest of a multi-part AOF and the files
 * beside it. FAILED_PRECONDITION: an AOF beside other files, as what one holds was written on top of its own base.
 */
export async function sourcesAt(
  uris: readonly string[],
  work: Pick<Work<"restore.v1.requested">, "resume" | "progress">,
  ports: Pick<Ports, "objects" | "settings">,
  signal: AbortSignal,
): Promise<Sources> {
  const [first = ""] = uris;
  if (uris.length === 1 && isManifest(first)) return await partsAt(first, work, ports, signal);
  if (uris.some(isManifest)) throw notAlone();
  const read = await readFiles(await placesOf(uris, ports.objects), work, ports, signal);
  if (uris.length > 1 && read.some(({ log }) => log !== undefined)) throw notAlone();
  return sorted(read);
}

const sorted = (read: readonly ReadFile[]): Sources => ({
  files: read.flatMap(({ source }) => source ?? []),
  logs: read.flatMap(({ log }) => log ?? []),
});

async function partsAt(
  uri: string,
  work: Pick<Work<"restore.v1.requested">, "resume" | "progress">,
  ports: Pick<Ports, "objects" | "settings">,
  signal: AbortSignal,
): Promise<Sources> {
  const parts = partsOf(parseManifest(await readManifest(uri, ports.objects, signal)));
  if (parts.length > mostIncrements)
    throw new StatusError("FAILED_PRECONDITION", `${uri} names ${parts.length} files: have the server rewrite its AOF`);
  const folder = uri.slice(0, uri.lastIndexOf("/"));
  const places = await placesOf(
    parts.map(({ fileName }) => `${folder}/${fileName}`),
    ports.objects,
  );
  const read = await readFiles(places, work, ports, signal, { mayBeEmpty: true });
  for (const [at, { place, source, log }] of read.entries()) {
    const { fileName, type } = parts[at] ?? { fileName: place.object, type: "INCREMENT" };
    const file = { fileName, type, sizeBytes: place.sizeBytes, ...(log && { log }), ...(source && { base: source }) };
    assertPlace(file, at + 1 === read.length);
  }
  return sorted(read);
}

async function readManifest(uri: string, objects: Objects, signal: AbortSignal): Promise<Uint8Array> {
  const { bucket, object } = parseObjectUri(uri);
  const [place] = await placesOf([uri], objects);
  if (place === undefined) throw new StatusError("NOT_FOUND", `there is no gs://${bucket}/${object}`);
  if (place.sizeBytes > longestManifestBytes)
    throw new StatusError("FAILED_PRECONDITION", `${uri} is no manifest of an AOF: it has ${place.sizeBytes} bytes`);
  return await collect(objects.read(place, {}, signal));
}

const notAlone = (): StatusError =>
  new StatusError("FAILED_PRECONDITION", "an AOF, or its manifest, is restored alone: name no other file beside it");
