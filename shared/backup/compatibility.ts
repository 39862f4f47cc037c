import type { RdbFacts } from "./backup.ts";
import { type Finding, fail, pass, unknown, warn } from "./check.ts";
import { moduleHomes } from "./module-home.ts";
import { defaultMaxBulkBytes, type Target } from "./target.ts";

/** What RESTORE adds to a record: the version and the checksum, `createDumpPayload` in Valkey's cluster.c. */
const payloadFooterBytes = 10;
/** The least that `proto-max-bulk-len` can be set to (config.c, 8.0). */
const leastMaxBulkBytes = 1_048_576;
/** Functions came with RDB version 10 (Redis 7.0). */
const functionsRdbVersion = 10;

/** Whether the target reads the newest type of the files: records are sent in the oldest version that their type needs. */
export function checkVersion(files: readonly RdbFacts[], target: Target): Finding {
  const needed = Math.max(0, ...files.map(({ minimumRdbVersion }) => minimumRdbVersion));
  const message = `the files need RDB version ${needed}, ${named(target)} reads up to ${target.rdbVersion}`;
  return target.rdbVersion >= needed ? pass(message) : fail(message);
}

/** Types from 12 (Redis) and 80 (Valkey) on mean something to one of the two only; a Redis reads no 80 by its version. */
export function checkFamily(files: readonly RdbFacts[], target: Target): Finding {
  const ofRedis = files.some(({ magic, minimumRdbVersion }) => magic === "REDIS" && minimumRdbVersion >= 12);
  if (!ofRedis) return pass("the files hold no types that only Redis knows");
  const message = `the files hold types that only Redis knows, the target is ${named(target)}`;
  return target.product === "Redis" ? pass(message) : fail(message);
}

/** From Valkey 9.0 on a file tells of slots that were on their way into its shard: some of their keys had not arrived. */
export function checkMigration(files: readonly RdbFacts[]): Finding {
  const count = files.reduce((sum, { slotImports }) => sum + slotImports, 0);
  if (count === 0) return pass("no slots were being moved when the files were taken");
  return fail(
    `the files were taken during ${count} slot migrations, so keys may be missing: take the backup again once no slots move`,
  );
}

/** By name where the type's module is a known one: no command lists the types of a module. */
export function checkModules(files: readonly RdbFacts[], target: Target): Finding {
  const types = [...new Set(files.flatMap(({ moduleTypes }) => moduleTypes))].sort();
  if (types.length === 0) return pass("the files hold no values of modules");
  const has = target.modules.length === 0 ? "no module" : `the modules ${target.modules.join(", ")}`;
  const found = `the files hold values of modules (${types.join(", ")}), the target has ${has}`;
  const homes = types.map((type) => ({ type, ...moduleHomes[type] }));
  const lacking = homes.filter(({ modules }) =>
    modules === undefined ? target.modules.length === 0 : !modules.some((module) => target.modules.includes(module)),
  );
  if (lacking.length > 0) {
    const wanted = lacking.map(({ type, modules }) => `${type}: ${modules?.join(" or ") ?? "a module unknown to us"}`);
    return fail(`${found}; load what is missing there (${wanted.join("; ")})`);
  }
  const unsure = homes.filter(
    ({ modules, product }) => modules === undefined || (product ?? target.product) !== target.product,
  );
  if (unsure.length === 0) return pass(found);
  return unknown(`${found}; whether one of them reads ${unsure.map(({ type }) => type).join(", ")} cannot be told`);
}

/** Every shard's file holds all libraries, the first is loaded. `libraries`: their names, where somebody has looked. */
export function checkFunctions(
  files: readonly RdbFacts[],
  libraries: readonly string[] | undefined,
  target: Target,
): Finding {
  const count = files[0]?.functions ?? 0;
  const finding = checkLibraries(count, libraries, target);
  if (finding.result !== "PASS" || files.every(({ functions }) => functions === count)) return finding;
  return warn(`${finding.message}; the files hold different ones, those of the first file are loaded`);
}

function checkLibraries(count: number, libraries: readonly string[] | undefined, target: Target): Finding {
  if (count === 0) return pass("the files hold no function libraries");
  const held = `the files hold ${count} function libraries`;
  if (target.rdbVersion < functionsRdbVersion) return fail(`${held}, ${named(target)} has no functions`);
  if (target.functionCount === undefined)
    return unknown(`${held}; how many the target has is not known: grant +function|stats`);
  // Of a cluster that counts the node with the fewest, and names those of all.
  const present = Math.max(target.functionCount, target.functionLibraries?.length ?? 0);
  if (present === 0) return pass(`${held}, the target has none yet`);
  const there = `${held}, the target has ${present} already`;
  if (target.functionLibraries === undefined || libraries === undefined)
    return unknown(
      `${there}; whether they are the same is not known: grant +function|list, or run FUNCTION FLUSH there`,
    );
  const common = libraries.filter((name) => target.functionLibraries?.includes(name)).length;
  if (common > 0)
    return fail(
      `${there}, ${common} of them by the same name: remove these there with FUNCTION DELETE, or all with FUNCTION FLUSH`,
    );
  return warn(
    `${there} by other names; a function that both define would be refused, which FUNCTION FLUSH there rules out`,
  );
}

/** Cluster mode has one database (several are refused, as Memorystore does); without it the highest number must be configured. */
export function checkDatabases(files: readonly RdbFacts[], target: Target): Finding {
  const used = new Set(files.flatMap((file) => Object.keys(file.databases)).map(Number));
  const highest = Math.max(0, ...used);
  const held = used.size === 0 ? "the files hold no keys" : `the files use databases ${listed(used)}`;
  if (highest === 0) return pass(`${held}, every target has database 0`);
  if (target.mode === "CLUSTER")
    return fail(`${held}; cluster mode has one database, 0: restore into a target without cluster mode`);
  const { databaseCount } = target;
  if (databaseCount === undefined)
    return unknown(`${held}; how many the target has is not known: grant +config|get, or see \`databases\` there`);
  if (databaseCount > highest) return pass(`${held}, the target has ${databaseCount}`);
  return fail(`${held}, the target has ${databaseCount}: set \`databases\` to at least ${highest + 1} there`);
}

/** Whether the largest record, with what RESTORE adds, passes through the target's protocol. */
export function checkRecord(files: readonly RdbFacts[], target: Target): Finding {
  const largest = Math.max(0, ...files.map(({ largestRecordBytes }) => largestRecordBytes)) + payloadFooterBytes;
  const { maxBulkBytes } = target;
  const limit = maxBulkBytes ?? defaultMaxBulkBytes;
  const origin = maxBulkBytes === undefined ? "the default of proto-max-bulk-len" : "proto-max-bulk-len";
  const message = `the largest record has ${largest} bytes, the target takes ${limit} (${origin})`;
  if (largest > limit) return fail(message);
  if (maxBulkBytes !== undefined || largest <= leastMaxBulkBytes) return pass(message);
  return unknown(`${message}; whether it was changed is not known: grant +config|get`);
}

const named = ({ product, version }: Target): string => `${product} ${version}`;

const listed = (numbers: ReadonlySet<number>): string => [...numbers].sort((a, b) => a - b).join(", ");
