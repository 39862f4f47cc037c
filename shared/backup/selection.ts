import { day } from "./duration.ts";
import type { RestoreFile } from "./operation.ts";
import type { ServerIdentity } from "./server-identity.ts";

/** What becomes of a key that is in the target already: it stays; it is replaced; one of them refuses the whole. */
export const conflictPolicies = ["SKIP", "REPLACE", "FAIL"] as const;
export type ConflictPolicy = (typeof conflictPolicies)[number];

/** When a restored key expires: when the backup says; never; or after what it had left when the snapshot was taken. */
export const expiryPolicies = ["KEEP", "PERSIST", "SHIFT"] as const;
export type ExpiryPolicy = (typeof expiryPolicies)[number];

/** How long a restore of single keys can be undone after its end, in seconds. */
export const undoLife = 7 * day;

/**
 * How long what it put into the vault is kept at least: the restore may go on for a day after it was written, and the last undo for
 * another one.
 */
export const undoKept = undoLife + 2 * day;

/** What tells one state of a key from another. Equal values that lie in memory in different ways have different digests. */
export interface KeyState {
  /** SHA-256 of the type and the value as `DUMP` writes them, without version and checksum; hex. */
  digest: string;
  /** Unix time in milliseconds, -1 for none. */
  expireTimeMs: number;
}

/** A border between two records of the files that a selection is read from: all before it is done. */
export interface SelectionMark {
  file: number;
  /** Bytes from the start of the file; 0 with its first byte. */
  offset: number;
  /** The database that is selected there. */
  database: number;
}

/** What the examination has found so far. */
export interface Found {
  /** Keys of the database that the pattern takes. */
  matched: number;
  /** Of them, those whose time has passed: they are not restored. */
  expired: number;
  /** Of the others, those that the target has: with the same value and expiry, or not. */
  identical: number;
  different: number;
  /** Bytes of those that would be written. */
  sizeBytes: number;
  /** Of the matching keys. */
  minimumRdbVersion: number;
  largestRecordBytes: number;
  hasModules: boolean;
}

/** What came of the keys of a selection; together as many as matched. */
export interface Merged {
  created: number;
  replaced: number;
  identical: number;
  /** They were in the target, and stay as they are. */
  skipped: number;
  /** Somebody wrote to them between our look and our write: they stay as that one left them. */
  changed: number;
  expired: number;
}

/** A file that keys are taken from. */
export interface SelectionFile
  extends Pick<RestoreFile, "bucket" | "object" | "generation" | "sizeBytes" | "magic" | "rdbVersion" | "moduleTypes"> {
  /** When its data was what it says. */
  snapshotTime: string;
}

/** What a restore of single keys into a live instance is about, and how far it is. The pattern lies in the vault alone. */
export interface Selection {
  source: string;
  files: SelectionFile[];
  pattern: { object: string; generation: string };
  database: number;
  /** The target as it was registered, as an undo goes nowhere else, and what it was known by. */
  target: { uid: string; endpoint: string } & ServerIdentity;
  mark: SelectionMark;
  found: Found;
  merged: Merged;
}

/** Before anything was read. */
export const nothingFound: Found = {
  matched: 0,
  expired: 0,
  identical: 0,
  different: 0,
  sizeBytes: 0,
  minimumRdbVersion: 1,
  largestRecordBytes: 0,
  hasModules: false,
};

/** Before anything was written. */
export const nothingMerged: Merged = { created: 0, replaced: 0, identical: 0, skipped: 0, changed: 0, expired: 0 };

/** Where the first file begins. */
export const firstMark: SelectionMark = { file: 0, offset: 0, database: 0 };

/** Counts added up. */
export function plus(one: Merged, other: Merged): Merged {
  const sum = (field: keyof Merged): number => one[field] + other[field];
  return {
    created: sum("created"),
    replaced: sum("replaced"),
    identical: sum("identical"),
    skipped: sum("skipped"),
    changed: sum("changed"),
    expired: sum("expired"),
  };
}

/** The name of a key as text, by which a map knows it. */
export const hexOf = (key: Uint8Array): string => Buffer.from(key).toString("hex");

/** Whether a key is as it was, or is as little there as it was; `undefined`: it is not there. */
export const isSameState = (one: KeyState | undefined, other: KeyState | undefined): boolean =>
  one?.digest === other?.digest && one?.expireTimeMs === other?.expireTimeMs;

/**
 * When a restored key expires, -1 for never; `undefined` where its time has passed. `request` is when the restore was asked for:
 * the same at every attempt, so that a shifted expiry is. All in milliseconds since 1970.
 */
export function restoredExpiry(
  expireTimeMs: number,
  policy: ExpiryPolicy,
  { snapshot, request, now }: { snapshot: number; request: number; now: number },
): number | undefined {
  if (expireTimeMs === -1) return -1;
  if (expireTimeMs <= snapshot) return undefined; // it had expired then, and only nobody had met it
  if (policy === "PERSIST") return -1;
  const moved = policy === "SHIFT" ? expireTimeMs + Math.max(0, request - snapshot) : expireTimeMs;
  return moved <= now ? undefined : moved;
}

/** What a policy makes of a key, by what the target has. REFUSE: of the whole restore. */
export function decideKey(
  policy: ConflictPolicy,
  there: KeyState | undefined,
  wanted: KeyState,
): "CREATE" | "REPLACE" | "IDENTICAL" | "SKIP" | "REFUSE" {
  if (there === undefined) return "CREATE";
  if (policy === "FAIL") return "REFUSE";
  if (isSameState(there, wanted)) return "IDENTICAL";
  return policy;
}
