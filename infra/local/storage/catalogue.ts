import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { StoredBucket } from "./bucket.ts";
import { type Disk, jsonFiles, readJson, writeJson } from "./disk.ts";
import { ApiError, noSuchBucket, noSuchObject } from "./error.ts";
import { lettersAbout, type ObjectEvent } from "./notification.ts";
import { type ObjectSettings, objectResource, type StoredObject } from "./object.ts";
import { compareNames } from "./order.ts";
import type { Letter, Outbox } from "./outbox.ts";
import { checkPreconditions, type Preconditions } from "./precondition.ts";
import { refuseIfKept } from "./retention.ts";

/** An object that is about to be: its bytes are complete and checked, only its place is missing. */
export interface Draft {
  bucket: string;
  name: string;
  bytes: string;
  sizeBytes: number;
  crc32c: string;
  md5Hash?: string | undefined;
  componentCount?: number;
  settings: ObjectSettings;
}

/**
 * Every bucket and object, in memory and on disk alike. Its methods are synchronous on purpose: the check of a
 * precondition, the write that depends on it and the new state are one step that no other request can enter.
 */
export class Catalogue {
  readonly #disk: Disk;
  readonly #outbox: Outbox;
  readonly #now: () => Date;
  readonly #baseUrl: string;
  readonly #buckets = new Map<
    string,
    { bucket: StoredBucket; objects: Map<string, StoredObject>; sorted?: string[] }
  >();
  #generation = 0;

  constructor(disk: Disk, outbox: Outbox, now: () => Date, baseUrl: string) {
    this.#disk = disk;
    this.#outbox = outbox;
    this.#now = now;
    this.#baseUrl = baseUrl;
    this.#load();
  }

  #load(): void {
    if (existsSync(this.#disk.generation)) this.#generation = readJson<number>(this.#disk.generation);
    for (const name of readdirSync(this.#disk.folders.buckets)) {
      const path = this.#disk.bucket(name);
      if (!existsSync(path)) {
        rmSync(dirname(path), { recursive: true });
        continue;
      }
      const stored = jsonFiles(this.#disk.objects(name)).map((file) => readJson<StoredObject>(file));
      for (const { generation } of stored) this.#generation = Math.max(this.#generation, generation);
      const objects = new Map(stored.map((object) => [object.name, object]));
      this.#buckets.set(name, { bucket: readJson<StoredBucket>(path), objects });
    }
  }

  /** All buckets, by name. */
  buckets(): StoredBucket[] {
    return [...this.#buckets.values()].map(({ bucket }) => bucket).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** A bucket, or 404. */
  bucket(name: string): StoredBucket {
    return this.#entry(name).bucket;
  }

  /** Keeps a bucket that is new (409 if the name is taken). */
  addBucket(bucket: StoredBucket): void {
    if (this.#buckets.has(bucket.name)) {
      const message = "Your previous request to create the named bucket succeeded and you already own it.";
      throw new ApiError(409, "conflict", message);
    }
    mkdirSync(this.#disk.objects(bucket.name), { recursive: true });
    writeJson(this.#disk.bucket(bucket.name), bucket);
    this.#buckets.set(bucket.name, { bucket, objects: new Map() });
  }

  /** Keeps what became of a bucket. */
  replaceBucket(bucket: StoredBucket): void {
    const entry = this.#entry(bucket.name);
    writeJson(this.#disk.bucket(bucket.name), bucket);
    entry.bucket = bucket;
  }

  /** Removes a bucket, or answers 409 while objects are in it. */
  removeBucket(name: string): void {
    if (this.#entry(name).objects.size > 0) {
      throw new ApiError(409, "conflict", "The bucket you tried to delete is not empty.");
    }
    rmSync(this.#disk.bucket(name));
    rmSync(dirname(this.#disk.bucket(name)), { recursive: true });
    this.#buckets.delete(name);
  }

  /** The live object of that name, if there is one; 404 if there is no such bucket. */
  find(bucket: string, name: string): StoredObject | undefined {
    return this.#entry(bucket).objects.get(name);
  }

  /** The live object, or 404; also if another generation than the live one is asked for, as nothing older is kept. */
  get(bucket: string, name: string, generation?: number): StoredObject {
    const object = this.find(bucket, name);
    if (object === undefined || (generation !== undefined && object.generation !== generation)) {
      throw noSuchObject(bucket, name);
    }
    return object;
  }

  /** All live objects, for whoever needs to know which bytes are in use. */
  *objects(): Iterable<StoredObject> {
    for (const { objects } of this.#buckets.values()) yield* objects.values();
  }

  /** A bucket's object names in the order of their UTF-8 bytes. */
  names(bucket: string): string[] {
    const entry = this.#entry(bucket);
    entry.sorted ??= [...entry.objects.keys()].sort(compareNames);
    return entry.sorted;
  }

  /** Refuses a write that could not be committed now, before its bytes are sent. `commit` checks again. */
  admit(bucket: string, name: string, preconditions: Preconditions): void {
    const entry = this.#entry(bucket);
    const existing = entry.objects.get(name);
    checkPreconditions(preconditions, existing);
    if (existing !== undefined) refuseIfKept(existing, entry.bucket, this.#now());
  }

  /** Makes a draft the live object, whole and at once, and says so to the bucket's listeners. */
  commit(draft: Draft, preconditions: Preconditions): StoredObject {
    this.admit(draft.bucket, draft.name, preconditions);
    const { bucket, objects } = this.#entry(draft.bucket);
    const now = this.#now();
    const overwritten = objects.get(draft.name);
    const { md5Hash, settings, ...rest } = draft;
    const object: StoredObject = {
      ...rest,
      ...(md5Hash === undefined ? {} : { md5Hash }),
      generation: this.#nextGeneration(now),
      metageneration: 1,
      createTime: now.toISOString(),
      updateTime: now.toISOString(),
      settings: bucket.defaultEventBasedHold ? { eventBasedHold: true, ...settings } : settings,
    };
    const extra: Record<string, string> = overwritten ? { overwroteGeneration: String(overwritten.generation) } : {};
    const letters = this.#letters({ eventType: "OBJECT_FINALIZE", object, extra }, now);
    if (overwritten) {
      const extra = { overwrittenByGeneration: String(object.generation) };
      letters.push(...this.#letters({ eventType: "OBJECT_DELETE", object: overwritten, extra }, now));
    }
    const announced = this.#outbox.announce(letters);
    this.#write(object);
    if (overwritten) rmSync(this.#disk.bytes(overwritten.bytes), { force: true });
    this.#outbox.release(announced);
    return object;
  }

  /** Keeps what became of an object's settings. The caller has raised the metageneration. */
  replace(object: StoredObject): void {
    const announced = this.#outbox.announce(
      this.#letters({ eventType: "OBJECT_METADATA_UPDATE", object }, this.#now()),
    );
    this.#write(object);
    this.#outbox.release(announced);
  }

  /** Deletes a live object, unless a hold or a retention policy keeps it. */
  remove(object: StoredObject): void {
    const { bucket, objects } = this.#entry(object.bucket);
    const now = this.#now();
    refuseIfKept(object, bucket, now);
    const announced = this.#outbox.announce(this.#letters({ eventType: "OBJECT_DELETE", object }, now));
    writeJson(this.#disk.generation, this.#generation);
    rmSync(this.#disk.object(object.bucket, object.name));
    rmSync(this.#disk.bytes(object.bytes), { force: true });
    objects.delete(object.name);
    delete this.#entry(object.bucket).sorted;
    this.#outbox.release(announced);
  }

  #entry(name: string) {
    const entry = this.#buckets.get(name);
    if (entry === undefined) throw noSuchBucket();
    return entry;
  }

  #write(object: StoredObject): void {
    const entry = this.#entry(object.bucket);
    writeJson(this.#disk.object(object.bucket, object.name), object);
    if (!entry.objects.has(object.name)) delete entry.sorted;
    entry.objects.set(object.name, object);
  }

  #nextGeneration(now: Date): number {
    this.#generation = Math.max(this.#generation + 1, now.getTime() * 1000);
    return this.#generation;
  }

  #letters(event: Omit<ObjectEvent, "resource">, now: Date): Letter[] {
    const { bucket } = this.#entry(event.object.bucket);
    const resource = objectResource(event.object, bucket, this.#baseUrl);
    const isGone = event.eventType === "OBJECT_DELETE";
    return lettersAbout({ ...event, resource: isGone ? { ...resource, timeDeleted: now } : resource }, bucket, now);
  }

  /** Whether the change that an announced letter speaks of has taken place. */
  happened(letter: Letter): boolean {
    const { eventType, bucketId = "", objectId = "", objectGeneration } = letter.attributes;
    const object = this.#buckets.get(bucketId)?.objects.get(objectId);
    const isLive = String(object?.generation) === objectGeneration;
    if (eventType === "OBJECT_DELETE") return !isLive;
    return isLive;
  }
}
