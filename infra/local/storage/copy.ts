import { closeSync, createReadStream, openSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import type { Storage } from "./call.ts";
import type { StoredObject } from "./object.ts";
import { type Progress, receive } from "./receive.ts";

/** An object's bytes, held open: they can be read to their end even when the object is deleted meanwhile. */
export interface Source {
  object: StoredObject;
  file: number;
}

/** Opens objects in the same step in which they were found; whoever opens them closes them. */
export function openSources(storage: Storage, objects: StoredObject[]): Source[] {
  return objects.map((object) => ({ object, file: openSync(storage.disk.bytes(object.bytes), "r") }));
}

/** Closes what `openSources` opened. */
export function closeSources(sources: Source[]): void {
  for (const { file } of sources) closeSync(file);
}

/** Copies the bytes [start, end) of a source to the place in the target where `at` stands. */
export async function copyBytes(
  source: Source,
  start: number,
  end: number,
  target: FileHandle,
  at: Progress,
): Promise<Progress> {
  if (start === end) return at;
  const bytes = createReadStream("", {
    fd: source.file,
    start,
    end: end - 1,
    autoClose: false,
    highWaterMark: 1 << 20,
  });
  return receive(bytes, target, at);
}
