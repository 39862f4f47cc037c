import { open, rm } from "node:fs/promises";
import { z } from "zod";
import { type Call, param, type Reply, readJsonBody, type Storage } from "./call.ts";
import { encodeCrc32c } from "./checksum.ts";
import { closeSources, copyBytes, openSources, type Source } from "./copy.ts";
import { newId } from "./disk.ts";
import { invalid } from "./error.ts";
import { checkObjectName, objectResource, patchSettings, readObjectPatch, type StoredObject } from "./object.ts";
import { checkPreconditions, readPreconditions } from "./precondition.ts";
import type { Progress } from "./receive.ts";

// 32 sources: https://cloud.google.com/storage/quotas#objects
const composeSchema = z.object({
  destination: z.unknown().optional(),
  sourceObjects: z
    .array(
      z.object({
        name: z.string(),
        generation: z.coerce.number().optional(),
        objectPreconditions: z.object({ ifGenerationMatch: z.coerce.number().optional() }).optional(),
      }),
    )
    .min(1)
    .max(32),
});

/** `POST /b/B/o/O/compose`: one object out of up to 32 of the same bucket, end to end. */
export async function compose(storage: Storage, call: Call): Promise<Reply> {
  const { catalogue } = storage;
  const [bucket, name] = [param(call, "bucket"), param(call, "object")];
  checkObjectName(name);
  const { success, data, error } = composeSchema.safeParse(await readJsonBody(call.body));
  if (!success) throw invalid(`Invalid compose request: ${z.prettifyError(error)}`);
  const settings = patchSettings({}, readObjectPatch(data.destination));
  const preconditions = readPreconditions(call.query);
  catalogue.admit(bucket, name, preconditions);
  const objects = data.sourceObjects.map(({ name, generation, objectPreconditions }) => {
    const object = catalogue.get(bucket, name, generation);
    const wanted = objectPreconditions?.ifGenerationMatch;
    checkPreconditions(wanted === undefined ? {} : { GenerationMatch: wanted }, object);
    return object;
  });
  const id = newId();
  try {
    const { position, crc } = await join(storage, objects, id);
    const componentCount = objects.reduce((sum, object) => sum + (object.componentCount ?? 1), 0);
    const draft = { bucket, name, bytes: id, sizeBytes: position, crc32c: encodeCrc32c(crc), componentCount, settings };
    const object = catalogue.commit(draft, preconditions);
    return { status: 200, json: objectResource(object, catalogue.bucket(bucket), storage.baseUrl) };
  } catch (error) {
    await rm(storage.disk.bytes(id), { force: true });
    throw error;
  }
}

async function join(storage: Storage, objects: StoredObject[], id: string): Promise<Progress> {
  const sources: Source[] = openSources(storage, objects);
  try {
    await using target = await open(storage.disk.bytes(id), "wx");
    let at: Progress = { position: 0, crc: 0 };
    for (const source of sources) at = await copyBytes(source, 0, source.object.sizeBytes, target, at);
    return at;
  } finally {
    closeSources(sources);
  }
}
