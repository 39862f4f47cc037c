import { readFileSync } from "node:fs";

/** The most memory that a process ever had resident, in bytes (VmHWM in proc(5)); `undefined` once it has ended. */
export function peakOf(pid: number | "self" | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}
