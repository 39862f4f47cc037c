import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StatusError } from "../../../shared/error.ts";

/**
 * Where everything lies. This is the only place that makes paths; names from requests reach it as bucket names, which
 * were checked to be plain, or hashed, so nothing can leave the directory.
 *
 * ```
 * <directory>/
 *   generation.json                  the highest generation given so far, written when an object is deleted
 *   buckets/<bucket>/bucket.json     the bucket and its notification configs
 *   buckets/<bucket>/objects/<sha256 of the name>.json
 *                                    one live object: its name, checksums, settings, and the id of its bytes
 *   bytes/<id>                       contents, written once and in place; they belong to the object, the upload or the
 *                                    rewrite that names them, and to nobody after a crash: then the next start removes them
 *   uploads/<id>.json                a resumable session and, once it has ended, how it ended
 *   rewrites/<id>.json               a rewrite between two of its calls
 *   outbox/<number>.json             a notification that Pub/Sub has not taken yet
 *   outbox/<number>.pending          the same, for a change that is just being made
 * ```
 *
 * Every `.json` is written beside itself and renamed, so it is there whole or not at all. An object exists exactly when
 * its `.json` does. This holds when the process is killed at any instruction; nothing is synced, so it does not promise
 * to survive a loss of power.
 */
export interface Disk {
  readonly generation: string;
  bucket(bucket: string): string;
  objects(bucket: string): string;
  object(bucket: string, name: string): string;
  bytes(id: string): string;
  upload(id: string): string;
  rewrite(id: string): string;
  /** The folders themselves, to be read at start. */
  readonly folders: { buckets: string; bytes: string; uploads: string; rewrites: string; outbox: string };
}

/** The paths under a directory, which is made if it is not there. */
export function openDisk(directory: string): Disk {
  const folders = {
    buckets: join(directory, "buckets"),
    bytes: join(directory, "bytes"),
    uploads: join(directory, "uploads"),
    rewrites: join(directory, "rewrites"),
    outbox: join(directory, "outbox"),
  };
  for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
  const bucket = (name: string) => join(folders.buckets, name);
  return {
    folders,
    generation: join(directory, "generation.json"),
    bucket: (name) => join(bucket(name), "bucket.json"),
    objects: (name) => join(bucket(name), "objects"),
    object: (name, object) =>
      join(bucket(name), "objects", `${createHash("sha256").update(object).digest("hex")}.json`),
    bytes: (id) => join(folders.bytes, id),
    upload: (id) => join(folders.uploads, `${id}.json`),
    rewrite: (id) => join(folders.rewrites, `${id}.json`),
  };
}

/** An id that nobody can guess and that is a plain file name. */
export function newId(): string {
  return randomBytes(24).toString("base64url");
}

/**
 * Puts a JSON file in its place, whole or not at all. Synchronous, as all changes of metadata here are: between a
 * precondition's check and the rename that acts on it no other request can run.
 */
export function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.tmp`, JSON.stringify(value));
  renameSync(`${path}.tmp`, path);
}

/** Reads what `writeJson` wrote; a file that is not JSON is named in the error, for somebody else changed it. */
export function readJson<T>(path: string): T {
  const text = readFileSync(path, "utf8");
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new StatusError("DATA_LOSS", `${path} is not the JSON that this server wrote; restore or remove it`, {
      cause,
    });
  }
}

/** The `.json` files of a folder in order of their names; leftovers of an interrupted write are removed on the way. */
export function jsonFiles(folder: string): string[] {
  const names = readdirSync(folder).sort();
  for (const name of names.filter((name) => name.endsWith(".tmp"))) rmSync(join(folder, name));
  return names.filter((name) => name.endsWith(".json")).map((name) => join(folder, name));
}
