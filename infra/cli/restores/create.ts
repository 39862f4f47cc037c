import { parseObjectUri, requestIdOf } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { checkTable } from "../check-table.ts";
import { asyncFlag, command, requestIdFlag } from "../command.ts";
import { conclude } from "../conclude.ts";
import { accessFlags } from "../instances/flags.ts";
import { readBackupName } from "../names.ts";
import { waitFor } from "../wait.ts";
import { liveFlags, patternOf, restoreKeys } from "./live.ts";
import { shapeFlags, targetOf } from "./target.ts";

export const create = command({
  positionals: {},
  flags: {
    backup: { type: "string", value: "INSTANCE/BACKUP", help: "what to restore", read: readBackupName },
    "gcs-source-uris": {
      type: "string",
      value: "URIS",
      help: "or the files to restore: gs://BUCKET/OBJECT[,gs://BUCKET/OBJECT…]; or one AOF, or its manifest",
      read(text) {
        for (const uri of text.split(",")) parseObjectUri(uri);
        return text;
      },
    },
    to: {
      type: "string",
      value: "TARGET",
      help: "the id of a registered instance, or HOST:PORT, which is registered, as large as the backup's",
      isRequired: true,
    },
    "dry-run": { type: "boolean", help: "only check whether it would go, and show each check" },
    strict: { type: "boolean", help: "refuse an AOF of which something would be left out, such as its torn tail" },
    "allow-shrink": { type: "boolean", help: "take a target that is smaller than the backup's" },
    "max-parallel-loads": {
      type: "string",
      value: "COUNT",
      help: "load so many parts at once, 1 to 100; 4 for each shard of the target and at most 32 where absent",
      read(text) {
        if (/^([1-9]\d?|100)$/.test(text)) return text;
        throw new StatusError("INVALID_ARGUMENT", `expected a number from 1 to 100, found ${text.slice(0, 20)}`);
      },
    },
    ...liveFlags,
    ...accessFlags,
    ...shapeFlags,
    "request-id": { ...requestIdFlag["request-id"], read: requestIdOf },
    ...asyncFlag,
  },
  example: "valkeep restores create --backup=orders/before-release --to=10.0.0.9:6379",

  async run({ flags }, session) {
    const { backup, "gcs-source-uris": uris, "request-id": requestId } = flags;
    if ((backup === undefined) === (uris === undefined))
      throw new StatusError("INVALID_ARGUMENT", "expected one of --backup and --gcs-source-uris");
    if (backup !== undefined && flags.strict)
      throw new StatusError("INVALID_ARGUMENT", "--strict is about an AOF, and a backup holds none");
    const source = {
      ...(backup !== undefined && { backup }),
      ...(uris !== undefined && { gcsSourceUris: uris.split(",") }),
      ...(requestId !== undefined && { requestId }),
    };
    const pattern = patternOf(flags);
    const isDry = pattern === undefined ? flags["dry-run"] : !flags.execute;
    const target = await targetOf({ ...flags, "dry-run": isDry }, session);
    if (pattern !== undefined) return await restoreKeys(pattern, source, target, flags, session);
    const { instance, decide, outcome } = target;
    const { ports } = await session.connect();
    const data = {
      ...{ instance, ...source },
      ...(flags["dry-run"] && { dryRun: true }),
      ...(flags.strict && { strict: true }),
      ...(flags["allow-shrink"] && { allowShrink: true }),
      ...(flags["max-parallel-loads"] !== undefined && { maxParallelLoads: Number(flags["max-parallel-loads"]) }),
    };
    const name = await submit(ports, "restore.v1.requested", data, decide);
    if (outcome !== undefined) session.say(outcome);
    if (!flags["dry-run"] || flags.async) return await conclude(name, flags.async, ports, session);
    const operation = await waitFor(name, ports, session);
    session.print(operation, checkTable(operation.checks ?? [], session.columns));
    return undefined;
  },
});
