import { readFile, realpath, stat, statfs } from "node:fs/promises";

/** What a file system has left. */
export interface Room {
  /** For anyone but root. */
  freeBytes: number;
  /** Absent where the file system counts no files. */
  freeFiles?: number;
}

/** Nothing where it does not tell. */
export async function roomIn(directory: string): Promise<Room | undefined> {
  const found = await statfs(directory).catch(() => undefined);
  if (found === undefined) return undefined;
  return { freeBytes: found.bavail * found.bsize, ...(found.files > 0 && { freeFiles: found.ffree }) };
}

/** Whether its file system takes no writes from anyone, this mount's own options aside. Linux tells; elsewhere: false. */
export async function isReadOnly(directory: string): Promise<boolean> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const path = await realpath(directory).catch(() => directory);
  return readOnlyMount(mounts, path);
}

/** proc_pid_mountinfo(5): the fifth field is where it is mounted, the last one the options of the file system itself. */
export function readOnlyMount(mounts: string, path: string): boolean {
  let deepest = "";
  let isReadOnly = false;
  for (const line of mounts.split("\n")) {
    const fields = line.split(" ");
    const point = (fields[4] ?? "").replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(parseInt(octal, 8)),
    );
    const isAbove = point === "/" || path === point || path.startsWith(`${point}/`);
    // The last one that is mounted at a place hides those before it.
    if (point === "" || !isAbove || point.length < deepest.length) continue;
    deepest = point;
    isReadOnly = (fields.at(-1) ?? "").split(",").includes("ro");
  }
  return isReadOnly;
}

/** Whether a directory's mode keeps this user from making files; a user that is not known, everybody. */
export async function isUnwritable(directory: string, uid: number | undefined): Promise<boolean> {
  const found = await stat(directory).catch(() => undefined);
  if (found === undefined || uid === 0) return false;
  const bits = uid === undefined ? 0o222 : uid === found.uid ? 0o200 : 0o022; // its groups are not known
  return (found.mode & bits) === 0;
}
