import { StatusError } from "../error.ts";
import type { Instance } from "./backup.ts";
import { oneOf } from "./choice.ts";

/** What a person says of how snapshots are taken, as text. */
export interface SnapshotFlags {
  /** `replication`, `scan` or `volume`. */
  snapshotMethod?: string | undefined;
  /** An absolute path; with `volume` alone. */
  dataDirectory?: string | undefined;
}

const methods = { REPLICATION: "REPLICATION", SCAN: "SCAN", VOLUME: "VOLUME" } as const;

type Taking = Pick<Instance, "snapshotMethod" | "dataDirectory">;

/**
 * How snapshots are taken after the flags; `mode` is the instance's by then. The data directory goes when the method is another
 * one. INVALID_ARGUMENT: VOLUME without a directory, a directory without VOLUME, or VOLUME for a cluster.
 */
export function changedSnapshotMethod(before: Taking, mode: Instance["mode"], flags: SnapshotFlags): Taking {
  const snapshotMethod =
    flags.snapshotMethod === undefined
      ? before.snapshotMethod
      : oneOf("snapshot method", flags.snapshotMethod, methods);
  if (snapshotMethod !== "VOLUME") {
    if (flags.dataDirectory !== undefined)
      throw new StatusError("INVALID_ARGUMENT", "a data directory is of use only with snapshot method volume");
    return snapshotMethod === undefined ? {} : { snapshotMethod };
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
  return { snapshotMethod, dataDirectory };
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
