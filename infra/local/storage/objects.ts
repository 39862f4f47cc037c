import { type Call, param, type Reply, readJsonBody, type Storage } from "./call.ts";
import { findForReading, readMedia } from "./media.ts";
import { objectResource, patchSettings, readObjectPatch, type StoredObject } from "./object.ts";
import { checkPreconditions, readPreconditions, wholeNumber } from "./precondition.ts";

/** `GET /b/B/o/O`: the resource, or with `alt=media` the bytes. */
export function getObject(storage: Storage, call: Call): Reply {
  if (call.query.get("alt") === "media") return readMedia(storage, call);
  const object = findForReading(storage, call);
  return object === undefined ? { status: 304 } : show(storage, object);
}

/** `PATCH /b/B/o/O`: changes settings and holds, never the bytes. */
export async function updateObject(storage: Storage, call: Call): Promise<Reply> {
  const patch = readObjectPatch(await readJsonBody(call.body));
  const object = findForChange(storage, call);
  const now = storage.now().toISOString();
  const isReleased = object.settings.eventBasedHold && patch.eventBasedHold !== undefined && !patch.eventBasedHold;
  const changed: StoredObject = {
    ...object,
    settings: patchSettings(object.settings, patch),
    metageneration: object.metageneration + 1,
    updateTime: now,
    ...(isReleased && { eventHoldReleaseTime: now }),
  };
  storage.catalogue.replace(changed);
  return show(storage, changed);
}

/** `DELETE /b/B/o/O`: for good, as there is neither versioning nor soft delete. */
export function deleteObject(storage: Storage, call: Call): Reply {
  storage.catalogue.remove(findForChange(storage, call));
  return { status: 204 };
}

function findForChange({ catalogue }: Storage, call: Call): StoredObject {
  const generation = call.query.get("generation");
  const wanted = generation === null ? undefined : wholeNumber("generation", generation);
  const object = catalogue.get(param(call, "bucket"), param(call, "object"), wanted);
  checkPreconditions(readPreconditions(call.query), object);
  return object;
}

function show({ catalogue, baseUrl }: Storage, object: StoredObject): Reply {
  return { status: 200, json: objectResource(object, catalogue.bucket(object.bucket), baseUrl) };
}
