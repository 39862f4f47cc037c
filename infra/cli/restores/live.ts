import { oneOf } from "../../../shared/backup/choice.ts";
import type { EventMap } from "../../../shared/backup/event.ts";
import { keyPattern } from "../../../shared/backup/key-pattern.ts";
import { selectionObject } from "../../../shared/backup/name.ts";
import type { Operation } from "../../../shared/backup/operation.ts";
import { type ConflictPolicy, type ExpiryPolicy, undoLife } from "../../../shared/backup/selection.ts";
import { StatusError } from "../../../shared/error.ts";
import { once } from "../../../shared/pipeline/stream.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { checkTable } from "../check-table.ts";
import type { Flag } from "../command.ts";
import { conclude } from "../conclude.ts";
import { shortName } from "../names.ts";
import type { Session } from "../session.ts";
import { table } from "../table.ts";
import { waitFor } from "../wait.ts";
import type { Target } from "./target.ts";

const conflicts = { SKIP: "SKIP", REPLACE: "REPLACE", FAIL: "FAIL" } as const satisfies Record<string, ConflictPolicy>;
const expiries = { KEEP: "KEEP", PERSIST: "PERSIST", SHIFT: "SHIFT" } as const satisfies Record<string, ExpiryPolicy>;

/** How fast the keys of a live instance are looked at and written. */
export const paceFlag = {
  "max-keys-per-second": {
    type: "string",
    value: "COUNT",
    help: "look at, and write, no more keys a second than that",
    read: (text) => `${numberIn(text, 1, 1_000_000)}`,
  },
} as const satisfies Record<string, Flag>;

/** Flags of a restore of single keys. */
export const liveFlags = {
  keys: {
    type: "string",
    value: "PATTERN",
    help: "only the keys that this takes, as KEYS has it: user:42:*; with --into-live",
    read(text) {
      // Node puts this in place of bytes that are no UTF-8: it would be looked for, and never found.
      if (text.includes("\uFFFD")) throw invalid("a pattern is UTF-8; ? stands for any other byte");
      keyPattern(text);
      return text;
    },
  },
  "into-live": { type: "boolean", help: "into an instance that is in use; only told, until --execute does it" },
  execute: { type: "boolean", help: "with --into-live: do it" },
  db: {
    type: "string",
    value: "NUMBER",
    help: "with --keys: of which database, where the backup has several",
    read: (text) => `${numberIn(text, 0, 2 ** 31 - 1)}`,
  },
  "on-conflict": {
    type: "string",
    value: "POLICY",
    values: ["skip", "replace", "fail"],
    help: "with --keys: what becomes of a key that is there: skip (the default), replace, or fail before anything is written",
    read: (text) => oneOf("policy", text, conflicts),
  },
  expiry: {
    type: "string",
    value: "POLICY",
    values: ["keep", "persist", "shift"],
    help: "with --keys: keep (the default) the time, persist without one, or shift by the time since the snapshot",
    read: (text) => oneOf("policy", text, expiries),
  },
  ...paceFlag,
} as const satisfies Record<string, Flag>;

type Given = {
  [K in keyof typeof liveFlags]: (typeof liveFlags)[K] extends { type: "boolean" }
    ? boolean | undefined
    : string | undefined;
};

/** The pattern, if single keys are to be restored. INVALID_ARGUMENT: the flags do not go together. */
export function patternOf(
  given: Given & {
    "dry-run": boolean | undefined;
    "allow-shrink": boolean | undefined;
    strict: boolean | undefined;
    "max-parallel-loads": string | undefined;
  },
): string | undefined {
  const { keys, "into-live": isLive = false, execute = false } = given;
  if (keys !== undefined && !isLive)
    throw invalid("--keys writes into an instance that is in use: say so with --into-live");
  if (isLive && keys === undefined) throw invalid("--into-live restores single keys: --keys says which");
  const needless = (["execute", "db", "on-conflict", "expiry", "max-keys-per-second"] as const).find(
    (flag) => keys === undefined && given[flag] !== undefined,
  );
  if (needless !== undefined) throw invalid(`--${needless} is of use only with --keys and --into-live`);
  if (execute && given["dry-run"]) throw invalid("expected one of --execute and --dry-run");
  const useless = (["allow-shrink", "strict", "max-parallel-loads"] as const).find((flag) => given[flag] !== undefined);
  if (keys !== undefined && useless !== undefined) throw invalid(`--${useless} is of no use with --keys`);
  return keys;
}

type Source = Pick<EventMap["selection.v1.requested"], "backup" | "gcsSourceUris" | "requestId">;

/** Asks for it, the pattern put into the vault first: it may be the name of a key, which no event and no document holds. */
export async function restoreKeys(
  pattern: string,
  source: Source,
  { instance, decide, outcome }: Target,
  given: Given & { async: boolean | undefined },
  session: Session,
): Promise<undefined> {
  const { ports } = await session.connect();
  const { objects, ids, settings } = ports;
  const id = ids.uuid();
  const selection = selectionObject(id);
  const bytes = Buffer.from(JSON.stringify({ keys: pattern }));
  await objects.create(settings.vaultBucket, selection, once(bytes), { selection: id }, session.signal);
  const { db, "on-conflict": conflict, expiry, "max-keys-per-second": pace, execute = false } = given;
  const data = {
    ...{ instance, selection, execute, ...source },
    ...(db !== undefined && { database: Number(db) }),
    ...(conflict !== undefined && { conflictPolicy: oneOf("policy", conflict, conflicts) }),
    ...(expiry !== undefined && { expiryPolicy: oneOf("policy", expiry, expiries) }),
    ...(pace !== undefined && { maxKeysPerSecond: Number(pace) }),
  };
  const name = await submit(ports, "selection.v1.requested", data, decide);
  if (outcome !== undefined) session.say(outcome);
  if (given.async) return await conclude(name, true, ports, session);
  const operation = await waitFor(name, ports, session);
  session.print(operation, `${checkTable(operation.checks ?? [], session.columns)}\n\n${countsTable(operation)}`);
  if (!execute) session.say("nothing was written; the same with --execute does it");
  else if (Number(operation.response?.created) + Number(operation.response?.replaced) > 0)
    session.say(`for ${undoLife / 86_400} days valkeep restores undo ${shortName(name)} takes it back`);
  return undefined;
}

/** The numbers of what came of it. */
export const countsTable = ({ response = {} }: Operation): string =>
  table(Object.entries(response).flatMap(([what, count]) => (typeof count === "number" ? [[what, `${count}`]] : [])));

function numberIn(text: string, least: number, most: number): number {
  if (/^\d{1,10}$/.test(text) && Number(text) >= least && Number(text) <= most) return Number(text);
  throw invalid(`malformed number ${JSON.stringify(text.slice(0, 20))}: expected ${least} to ${most}`);
}

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", message);
