import type { RestorePlan } from "./operation.ts";

/** What the target holds after a restore. */
export interface Found {
  runId: string;
  expiredKeys: number;
  /** Absent: the server does not tell. */
  functionCount?: number;
  databases: Record<string, { keys: number; expires: number }>;
}

/**
 * What is wrong with a restored target; nothing, if it holds what was loaded. Keys without expiry are compared exactly. Of
 * those with one, as many may be missing as the server says have expired since, and a restarted server cannot say.
 */
export function compare(plan: RestorePlan, found: Found): string[] {
  const complaints: string[] = [];
  let missing = 0;
  // A first attempt may have created what had expired at the next; the server removes such keys in its own time.
  const gone = plan.loaded.reduce((sum, part) => sum + part.expiredKeys, 0);
  for (const [database, wanted] of Object.entries(loadedDatabases(plan))) {
    const { keys, expires } = found.databases[database] ?? { keys: 0, expires: 0 };
    const lasting = wanted.keys - wanted.expires;
    if (keys - expires !== lasting)
      complaints.push(`database ${database} holds ${keys - expires} keys without expiry, ${lasting} were loaded`);
    if (expires > wanted.expires + gone)
      complaints.push(`database ${database} holds ${expires} keys with expiry, ${wanted.expires} were loaded`);
    missing += Math.max(0, wanted.expires - expires);
  }
  for (const database of Object.keys(found.databases))
    if (!(database in loadedDatabases(plan))) complaints.push(`database ${database} holds keys that were not loaded`);
  const expired = found.runId === plan.target.runId ? found.expiredKeys - plan.target.expiredKeys : 0;
  const soon = plan.loaded.reduce((sum, part) => sum + part.soonExpiredKeys, 0);
  if (missing > expired + soon)
    complaints.push(`${missing} keys with expiry are missing, ${expired} have expired since`);
  complaints.push(...compareFunctions(plan, found.functionCount));
  return complaints;
}

/** Libraries are counted exactly: those that were there before and those that were loaded. Not where a count is unknown. */
function compareFunctions({ loaded, target }: RestorePlan, found: number | undefined): string[] {
  const functions = loaded.reduce((sum, part) => sum + part.functions, 0); // one part loads them
  if (found === undefined || target.functionCount === undefined || found === target.functionCount + functions)
    return [];
  return [`${found} function libraries are there, ${functions} were loaded beside ${target.functionCount}`];
}

/** What all parts together created, database by database. */
export function loadedDatabases({ loaded }: RestorePlan): Record<string, { keys: number; expires: number }> {
  const sums: Record<string, { keys: number; expires: number }> = {};
  for (const { databases } of loaded)
    for (const [database, { keys, expires }] of Object.entries(databases)) {
      const sum = sums[database] ?? { keys: 0, expires: 0 };
      sums[database] = { keys: sum.keys + keys, expires: sum.expires + expires };
    }
  return sums;
}
