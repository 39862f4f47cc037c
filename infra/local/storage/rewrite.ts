import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { type Call, param, type Reply, readJsonBody, type Storage } from "./call.ts";
import { closeSources, copyBytes, openSources } from "./copy.ts";
import { type Disk, jsonFiles, newId, readJson, writeJson } from "./disk.ts";
import { ApiError, invalid } from "./error.ts";
import {
  checkObjectName,
  type ObjectSettings,
  objectResource,
  patchSettings,
  readObjectPatch,
  type StoredObject,
} from "./object.ts";
import { checkPreconditions, type Preconditions, readPreconditions, wholeNumber } from "./precondition.ts";

/** A rewrite's token lives a week (https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite). */
const lifetimeMs = 7 * 24 * 3600 * 1000;

/** What one call copies unless it says otherwise: small objects at once, large ones in pages as in Cloud Storage. */
const defaultBytesPerCall = 64 << 20;

/** A rewrite between two calls. What it was asked for stays as it was in the first: clients do not repeat it. */
export interface StoredRewrite {
  /** The rewrite's token and the id of the copied bytes. */
  id: string;
  source: { bucket: string; name: string; generation: number };
  destination: { bucket: string; name: string };
  settings: ObjectSettings;
  preconditions: Preconditions;
  createTime: string;
  /** The last answer, once it is done: a client that did not get it asks again. */
  answer?: object;
}

/** Rewrites under way. They outlive the process: what is in the file is what has been copied. */
export class Rewrites {
  readonly #disk: Disk;
  readonly #rewrites = new Map<string, { stored: StoredRewrite; busy?: Promise<void> }>();

  constructor(disk: Disk, now: () => Date) {
    this.#disk = disk;
    for (const path of jsonFiles(disk.folders.rewrites)) {
      const stored = readJson<StoredRewrite>(path);
      const isOld = now().getTime() - Date.parse(stored.createTime) > lifetimeMs;
      if (isOld || (stored.answer === undefined && !existsSync(disk.bytes(stored.id)))) rmSync(path);
      else this.#rewrites.set(stored.id, { stored });
    }
  }

  /** Ids of the bytes that unfinished rewrites hold. */
  *bytes(): Iterable<string> {
    for (const { stored } of this.#rewrites.values()) if (stored.answer === undefined) yield stored.id;
  }

  /** Keeps a new rewrite. */
  add(stored: StoredRewrite): void {
    writeFileSync(this.#disk.bytes(stored.id), "");
    writeJson(this.#disk.rewrite(stored.id), stored);
    this.#rewrites.set(stored.id, { stored });
  }

  /** Runs one page of a rewrite, after whatever page of it is running now. */
  async page(token: string, run: (stored: StoredRewrite) => Promise<object>): Promise<object> {
    const rewrite = this.#rewrites.get(token);
    if (rewrite === undefined) throw invalid("Invalid rewriteToken: unknown or too old; begin the rewrite again");
    while (rewrite.busy !== undefined) await rewrite.busy;
    const { promise, resolve } = Promise.withResolvers<void>();
    rewrite.busy = promise;
    try {
      return rewrite.stored.answer ?? (await run(rewrite.stored));
    } catch (error) {
      if (error instanceof ApiError) this.#drop(token);
      throw error;
    } finally {
      delete rewrite.busy;
      resolve();
    }
  }

  /** Writes down that a rewrite is done. */
  end(stored: StoredRewrite, answer: object): void {
    const ended = { ...stored, answer };
    writeJson(this.#disk.rewrite(stored.id), ended);
    this.#rewrites.set(stored.id, { stored: ended });
  }

  #drop(token: string): void {
    this.#rewrites.delete(token);
    rmSync(this.#disk.rewrite(token), { force: true });
    rmSync(this.#disk.bytes(token), { force: true });
  }
}

/** `POST /b/B/o/O/rewriteTo/b/DB/o/DO`: copies an object, in as many calls as its size needs. */
export async function rewrite(storage: Storage, call: Call): Promise<Reply> {
  const limit = call.query.get("maxBytesRewrittenPerCall");
  const bytes = limit === null ? defaultBytesPerCall : wholeNumber("maxBytesRewrittenPerCall", limit);
  if (bytes === 0 || bytes % (1 << 20) !== 0) throw invalid("maxBytesRewrittenPerCall must be a multiple of 1048576");
  const body = await readJsonBody(call.body);
  const token = call.query.get("rewriteToken") ?? begin(storage, call, body);
  const json = await storage.rewrites.page(token, (stored) => {
    checkPlaces(call, stored);
    return copyPage(storage, stored, bytes);
  });
  return { status: 200, json };
}

function begin(storage: Storage, call: Call, body: unknown): string {
  const { catalogue, rewrites } = storage;
  const destination = { bucket: param(call, "toBucket"), name: param(call, "toObject") };
  checkObjectName(destination.name);
  const generation = call.query.get("sourceGeneration");
  const wanted = generation === null ? undefined : wholeNumber("sourceGeneration", generation);
  const source = catalogue.get(param(call, "bucket"), param(call, "object"), wanted);
  checkPreconditions(readPreconditions(call.query, "ifSource"), source);
  const preconditions = readPreconditions(call.query);
  catalogue.admit(destination.bucket, destination.name, preconditions);
  const id = newId();
  rewrites.add({
    id,
    source: { bucket: source.bucket, name: source.name, generation: source.generation },
    destination,
    settings: destinationSettings(source, body),
    preconditions,
    createTime: storage.now().toISOString(),
  });
  return id;
}

/** A body with any metadata in it replaces the source's, one without leaves it: as Cloud Storage does. Holds are not copied. */
function destinationSettings(source: StoredObject, body: unknown): ObjectSettings {
  const given = patchSettings({}, readObjectPatch(body));
  const { temporaryHold: _held, eventBasedHold: _eventHeld, ...copied } = source.settings;
  return Object.keys(given).length > 0 ? given : copied;
}

function checkPlaces(call: Call, { source, destination }: StoredRewrite): void {
  const isSame =
    source.bucket === param(call, "bucket") &&
    source.name === param(call, "object") &&
    destination.bucket === param(call, "toBucket") &&
    destination.name === param(call, "toObject");
  if (!isSame) throw invalid("The rewriteToken belongs to another source or destination");
}

async function copyPage(storage: Storage, stored: StoredRewrite, bytes: number): Promise<object> {
  const { catalogue, disk, rewrites } = storage;
  const { id, destination, settings, preconditions } = stored;
  const { bucket, name, generation } = stored.source;
  const source = catalogue.get(bucket, name, generation);
  const sources = openSources(storage, [source]);
  const start = statSync(disk.bytes(id)).size;
  const end = Math.min(source.sizeBytes, start + bytes);
  try {
    await using target = await open(disk.bytes(id), "r+");
    for (const file of sources) await copyBytes(file, start, end, target, { position: start, crc: 0 });
  } finally {
    closeSources(sources);
  }
  const progress = {
    kind: "storage#rewriteResponse",
    totalBytesRewritten: String(end),
    objectSize: String(source.sizeBytes),
  };
  if (end < source.sizeBytes) return { ...progress, done: false, rewriteToken: id };
  const { sizeBytes, crc32c, md5Hash } = source;
  const draft = { ...destination, bytes: id, sizeBytes, crc32c, md5Hash, settings };
  const object = catalogue.commit(
    { ...draft, ...(source.componentCount !== undefined && { componentCount: source.componentCount }) },
    preconditions,
  );
  const resource = objectResource(object, catalogue.bucket(object.bucket), storage.baseUrl);
  const answer = { ...progress, done: true, resource };
  rewrites.end(stored, answer);
  return answer;
}
