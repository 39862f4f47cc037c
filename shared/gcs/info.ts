import { StatusError } from "../error.ts";
import type { ObjectInfo } from "../pipeline/ports.ts";

/** An object's JSON resource, of which we read these fields. https://cloud.google.com/storage/docs/json_api/v1/objects#resource */
export interface Resource {
  bucket?: unknown;
  name?: unknown;
  generation?: unknown;
  size?: unknown;
  crc32c?: unknown;
  timeCreated?: unknown;
  metadata?: unknown;
  temporaryHold?: unknown;
  eventBasedHold?: unknown;
}

/** What an object's JSON resource says. UNKNOWN where it is not one. */
export function infoOf(what: string, resource: Resource): ObjectInfo {
  const { bucket, name, generation, size, crc32c, timeCreated } = resource;
  const sizeBytes = Number(size);
  if (
    typeof bucket !== "string" ||
    typeof name !== "string" ||
    typeof crc32c !== "string" ||
    typeof timeCreated !== "string" ||
    generation === undefined ||
    !Number.isSafeInteger(sizeBytes)
  )
    throw new StatusError("UNKNOWN", `${what}: expected an object's resource, found one without its fields`);
  return {
    bucket,
    object: name,
    generation: String(generation),
    sizeBytes,
    crc32c,
    createTime: new Date(timeCreated).toISOString(),
    metadata: metadataOf(resource.metadata),
    ...((resource.temporaryHold === true || resource.eventBasedHold === true) && { isHeld: true }),
  };
}

function metadataOf(metadata: unknown): Record<string, string> {
  if (typeof metadata !== "object" || metadata === null) return {};
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, String(value)]));
}

/** The resource in a JSON body; `undefined` where there is none. */
export function parseResource(body: string): Resource | undefined {
  try {
    const resource: unknown = JSON.parse(body);
    return typeof resource === "object" && resource !== null && "generation" in resource ? resource : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
