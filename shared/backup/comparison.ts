import type { FoundTarget, Loaded, RestorePlan } from "./operation.ts";

/** What the target holds after a restore. */
export interface Found {
  runId: string;
  expiredKeys: number;
  /** Absent: the server does not tell. */
  functionCount?: number;
  databases: Record<string, { keys: number; expires: number }>;
  /** Of a cluster, whose sums stand above: each primary. */
  shards?: { runId: string; expiredKeys: number }[];
}

/**
 * Whether every record of every file was read exactly once, its functions too: what the parts of a file created, with what had expired,
 * is what the file holds. What was read twice or not at all by a part is told here, whatever the target has made of it.
 */
export function compareFiles({ files, loaded }: Pick<RestorePlan, "files" | "loaded">): string[] {
  const complaints: string[] = [];
  for (const [n, { bucket, object, databases, functions }] of files.entries()) {
    const found = loaded.find(({ file }) => file === n) ?? nothing;
    const name = `gs://${bucket}/${object}`;
    let missing = 0;
    for (const database of new Set([...Object.keys(databases), ...Object.keys(found.databases)])) {
      const held = databases[database] ?? { keys: 0, expires: 0 };
      const created = found.databases[database] ?? { keys: 0, expires: 0 };
      const [lasting, wanted] = [created.keys - created.expires, held.keys - held.expires];
      if (lasting !== wanted)
        complaints.push(
          `of ${name} ${lasting} keys without expiry were loaded into database ${database}, it holds ${wanted}`,
        );
      if (created.expires > held.expires)
        complaints.push(
          `of ${name} ${created.expires} keys with expiry were loaded into database ${database}, it holds ${held.expires}`,
        );
      missing += held.expires - created.expires;
    }
    if (missing !== found.expiredKeys)
      complaints.push(`of ${name} ${missing} keys with expiry were not loaded, ${found.expiredKeys} had expired`);
    const libraries = n === 0 ? functions : 0; // every shard's file holds all of them
    if (found.functions !== libraries)
      complaints.push(`of ${name} ${found.functions} function libraries were loaded, expected ${libraries}`);
  }
  return complaints;
}

const nothing: Omit<Loaded, "sizeBytes"> = { databases: {}, expiredKeys: 0, soonExpiredKeys: 0, functions: 0 };

/** Why there may be more than was loaded. Whose key is whose cannot be told by counting: some of ours may be missing besides. */
const stranger = ": someone else may write there";

/**
 * What is wrong with a restored target; nothing, if it holds what was loaded. Keys without expiry are compared exactly. Of
 * those with one, as many may be missing as the server says have expired since, and a restarted server cannot say.
 */
export function compare(plan: RestorePlan, found: Found): string[] {
  const complaints: string[] = [];
  let missing = 0;
  // A first attempt may have created what had expired at the next; the server removes such keys in its own time.
  const gone = plan.loaded.reduce((sum, part) => sum + part.expiredKeys, 0);
  const loaded = loadedDatabases(plan);
  for (const database of new Set([...Object.keys(loaded), ...Object.keys(found.databases)])) {
    const wanted = loaded[database] ?? { keys: 0, expires: 0 };
    const { keys, expires } = found.databases[database] ?? { keys: 0, expires: 0 };
    const lasting = wanted.keys - wanted.expires;
    if (keys - expires !== lasting) {
      const why = keys - expires > lasting ? stranger : "";
      complaints.push(`database ${database} holds ${keys - expires} keys without expiry, ${lasting} were loaded${why}`);
    }
    if (expires > wanted.expires + gone)
      complaints.push(
        `database ${database} holds ${expires} keys with expiry, ${wanted.expires} were loaded${stranger}`,
      );
    missing += Math.max(0, wanted.expires - expires);
  }
  const expired = expiredSince(plan.target, found);
  const soon = plan.loaded.reduce((sum, part) => sum + part.soonExpiredKeys, 0);
  if (missing > expired + soon)
    complaints.push(`${missing} keys with expiry are missing, ${expired} have expired since`);
  complaints.push(...compareFunctions(plan, found.functionCount));
  return complaints;
}

/**
 * How many keys have expired since; a server that was restarted cannot say, nor can one whose counts somebody has set to zero
 * (CONFIG RESETSTAT), of a cluster each for itself.
 */
function expiredSince(before: FoundTarget, found: Found): number {
  const earlier = before.shards ?? [before];
  const known = new Map(earlier.map(({ runId, expiredKeys }) => [runId, expiredKeys]));
  const now = found.shards ?? [found];
  return now.reduce(
    (sum, { runId, expiredKeys }) => sum + Math.max(0, expiredKeys - (known.get(runId) ?? expiredKeys)),
    0,
  );
}

/** Libraries are counted exactly: those that were there before and those that were loaded. Not where a count is unknown. */
function compareFunctions({ loaded, target }: RestorePlan, found: number | undefined): string[] {
  const functions = loaded.reduce((sum, part) => sum + part.functions, 0); // one part loads them
  if (found === undefined || target.functionCount === undefined || found === target.functionCount + functions)
    return [];
  return [`${found} function libraries are there, ${functions} were loaded beside ${target.functionCount}`];
}

/** What all parts together created, database by database. */
export const loadedDatabases = ({ loaded }: RestorePlan): Found["databases"] => sumOfDatabases(loaded);

/** What all of them hold together, database by database. */
export function sumOfDatabases(all: readonly Pick<Found, "databases">[]): Found["databases"] {
  const sums: Found["databases"] = {};
  for (const { databases } of all)
    for (const [database, { keys, expires }] of Object.entries(databases)) {
      const sum = sums[database] ?? { keys: 0, expires: 0 };
      sums[database] = { keys: sum.keys + keys, expires: sum.expires + expires };
    }
  return sums;
}
