import { StatusError } from "../../error.ts";

/** What is known of a save that came to nothing. What could not be found out is absent. */
export interface FailedSave {
  endpoint: string;
  /** Where the server's data directory is mounted here. */
  directory: string;
  /** The least that was free while it saved. */
  freeBytes?: number;
  /** Files that can still be made; absent where the file system does not count them. */
  freeFiles?: number;
  /** What its data take in memory: a file is seldom larger. */
  usedMemoryBytes: number;
  /** The file system itself takes no writes. */
  isReadOnly: boolean;
  /** Its user may not make files there. */
  isUnwritable: boolean;
}

/** Less than this and somebody has filled the disk. */
const NOTHING_BYTES = 1024 * 1024;

/**
 * Why a BGSAVE failed, by what can be seen from here: the server tells only that it did, and its log the reason. What
 * somebody has to mend is FAILED_PRECONDITION or RESOURCE_EXHAUSTED; what may have been chance is UNAVAILABLE.
 */
export function saveFailure(failed: FailedSave): StatusError {
  const { endpoint, directory, freeBytes, usedMemoryBytes } = failed;
  const says = (code: "FAILED_PRECONDITION" | "RESOURCE_EXHAUSTED" | "UNAVAILABLE", reason: string) =>
    new StatusError(
      code,
      `BGSAVE failed at ${endpoint}: ${reason}. Until one succeeds the server may refuse writes (MISCONF)`,
    );
  if (failed.isUnwritable)
    return says("FAILED_PRECONDITION", `the server's user may not write in ${directory}: chown or chmod it`);
  if (failed.freeFiles === 0)
    return says("RESOURCE_EXHAUSTED", `the file system of ${directory} has no inode left: remove files there`);
  if (freeBytes !== undefined && freeBytes < Math.max(NOTHING_BYTES, usedMemoryBytes)) {
    const room = `${directory} has ${freeBytes} bytes free, the server's data take ${usedMemoryBytes} in memory`;
    return says("RESOURCE_EXHAUSTED", `its disk is most likely full, ${room}: make room there`);
  }
  if (failed.isReadOnly)
    return says(
      "FAILED_PRECONDITION",
      `the file system of ${directory} is read-only as it is seen here: if it is so for the server, see the system's log, remount it`,
    );
  const guess = "it was killed as it saved (by lack of memory, by a limit of file sizes), or its disk has errors";
  return says("UNAVAILABLE", `there is room enough in ${directory}; most likely ${guess}: see the server's log`);
}

/** A save that would fail for lack of room is not asked for. */
export function noRoom(endpoint: string, directory: string, freeBytes: number, neededBytes: number): StatusError {
  return new StatusError(
    "RESOURCE_EXHAUSTED",
    `${directory} has ${freeBytes} bytes free, a file of ${endpoint} takes about ${neededBytes} beside the one that is there: ` +
      "make room; no BGSAVE was asked for, as a failed one has the server refuse writes (MISCONF)",
  );
}

/** The server saved, and no file of that save came to be seen here. */
export function wrongDirectory(
  endpoint: string,
  directory: string,
  fileName: string,
  told: string | undefined,
): StatusError {
  const there = told === undefined ? "its data directory (CONFIG GET dir)" : `its directory ${told}`;
  return new StatusError(
    "FAILED_PRECONDITION",
    `${endpoint} has saved, but ${fileName} in ${directory} is not of that save: mount ${there} there, or correct --data-directory`,
  );
}

/** What an error reply to BGSAVE means; nothing for what any command may be answered. */
export function saveRefusal(endpoint: string, user: string, text: string): StatusError | undefined {
  if (/already in progress|child process is active/i.test(text))
    return new StatusError("ABORTED", `${endpoint} is saving already`);
  if (text.startsWith("NOPERM"))
    return new StatusError(
      "PERMISSION_DENIED",
      `the ACL of user ${user} at ${endpoint} lacks bgsave: ACL SETUSER ${user} +ping +info +bgsave +config|get`,
    );
  if (/^ERR unknown command/i.test(text))
    return new StatusError(
      "FAILED_PRECONDITION",
      `${endpoint} has no BGSAVE: its provider or rename-command took it away; choose another --snapshot-method`,
    );
  // A fork that fails is answered by "-ERR" without a word (rdb.c, bgsaveCommand: shared.err).
  if (/^ERR\s*$/.test(text) || /fork/i.test(text))
    return new StatusError(
      "UNAVAILABLE",
      `the system refused ${endpoint} the fork for its BGSAVE: set vm.overcommit_memory to 1 there, leave memory for a copy of ` +
        "what is written meanwhile, and see its limits of memory and of processes",
    );
  return undefined;
}
