import { access, rename, rm } from "node:fs/promises";

/** The calls that change what is there, so that a test can die at any of them. */
export type Disk = Pick<typeof import("node:fs/promises"), "rename" | "rm">;

const realDisk: Disk = { rename, rm };

/** Being written: never read. */
const draftOf = (folder: string) => `${folder}.new`;
/** Written to its end: counts from now on, whatever is left of the folder that it replaces. */
const wholeOf = (folder: string) => `${folder}.whole`;

/**
 * Puts what `write` makes in the folder's place, whole or not at all: whoever is killed leaves the former folder or the
 * new one, and {@link finishReplacement} finds which. A folder that is not empty cannot be replaced in one step.
 */
export async function replaceFolder(
  folder: string,
  write: (draft: string) => Promise<void>,
  disk: Disk = realDisk,
): Promise<void> {
  await finishReplacement(folder, disk);
  await remove(draftOf(folder), disk);
  await write(draftOf(folder));
  await disk.rename(draftOf(folder), wholeOf(folder));
  await finishReplacement(folder, disk);
}

/** Ends a replacement that was killed, before the folder is read; answers whether there is one now. */
export async function finishReplacement(folder: string, disk: Disk = realDisk): Promise<boolean> {
  if (await exists(wholeOf(folder))) {
    await remove(folder, disk);
    await disk.rename(wholeOf(folder), folder);
  }
  return exists(folder);
}

/** Removes the folder and what a replacement may have left; killed, it leaves none of them in part where it would be read. */
export async function forgetFolder(folder: string, disk: Disk = realDisk): Promise<void> {
  const draft = draftOf(folder);
  for (const place of [wholeOf(folder), folder]) {
    await remove(draft, disk);
    if (await exists(place)) await disk.rename(place, draft);
  }
  await remove(draft, disk);
}

const remove = (folder: string, disk: Disk) => disk.rm(folder, { recursive: true, force: true });

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
