import { StatusError } from "../error.ts";
import type { Instance } from "./backup.ts";
import { oneOf } from "./choice.ts";

/** What a person says of how snapshots are taken, as text. */
export interface SnapshotFlags {
  /** `replication`, `scan`, `volume`, or `automatic`: as if none had ever been said. */
  snapshotMethod?: string | undefined;
  /** An absolute path; with `volume` alone. */
  dataDirectory?: string | undefined;
  /** For `scan`: 1 to 10,000,000, or `none`. */
  maxKeysPerSecond?: string | undefined;
}

const methods = { REPLICATION: "REPLICATION", SCAN: "SCAN", VOLUME: "VOLUME", AUTOMATIC: "AUTOMATIC" } as const;

/** More than any server gives. */
const mostKeysPerSecond = 10_000_000;

type Taking = Pick<Instance, "snapshotMethod" | "dataDirectory" | "maxKeysPerSecond">;

/** How many keys a scan may read in a second, after the flags. It stays whatever the method is: an automatic one may be a scan. */
function changedRate(before: number | undefined, text: string | undefined): Pick<Taking, "maxKeysPerSecond"> {
  if (text === undefined) return before === undefined ? {} : { maxKeysPerSecond: before };
  if (text === "none") return {};
  const rate = Number(text);
  if (/^\d{1,8}$/.test(text) && rate >= 1 && rate <= mostKeysPerSecond) return { maxKeysPerSecond: rate };
  throw new StatusError(
    "INVALID_ARGUMENT",
    `malformed max keys per second ${JSON.stringify(text.slice(0, 80))}: expected 1 to ${mostKeysPerSecond}, or none`,
  );
}

/**
 * How snapshots are taken after the flags; `mode` is the instance's by then. The data directory goes when the method is another
 * one. INVALID_ARGUMENT: VOLUME without a directory, a directory without VOLUME, or VOLUME for a cluster.
 */
export function changedSnapshotMethod(before: Taking, mode: Instance["mode"], flags: SnapshotFlags): Taking {
  const said = flags.snapshotMethod === undefined ? undefined : oneOf("snapshot method", flags.snapshotMethod, methods);
  const method = said ?? before.snapshotMethod;
  const rate = changedRate(before.maxKeysPerSecond, flags.maxKeysPerSecond);
  if (method !== "VOLUME") {
    if (flags.dataDirectory !== undefined)
      throw new StatusError("INVALID_ARGUMENT", "a data directory is of use only with snapshot method volume");
    return { ...(method !== undefined && method !== "AUTOMATIC" && { snapshotMethod: method }), ...rate };
  }
  const dataDirectory = directoryOf(flags.dataDirectory) ?? before.dataDirectory;
  if (dataDirectory === undefined)
    throw new StatusError(
      "INVALID_ARGUMENT",
      "snapshot method volume needs the server's data directory as it is mounted where the functions run: --data-directory=/mnt/…",
    );
  if (mode === "CLUSTER")
    throw new StatusError(
      "INVALID_ARGUMENT",
      "snapshot method volume reads one server's data directory, a cluster has several: expected mode cluster-disabled",
    );
  return { snapshotMethod: method, dataDirectory, ...rate };
}

/** Absolute and without detours, so that it means one place. */
function directoryOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const segments = text.split("/").slice(1);
  const isPlain = segments.every((segment) => segment !== "" && segment !== "." && segment !== "..");
  if (text.length <= 500 && /^\/[\x20-\x7e]+$/.test(text) && isPlain) return text;
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  throw new StatusError(
    "INVALID_ARGUMENT",
    `malformed data directory ${shown}: expected an absolute path without . or .., such as /mnt/orders`,
  );
}
