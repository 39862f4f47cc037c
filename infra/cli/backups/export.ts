import { bucketOf, requestIdOf } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command, requestIdFlag } from "../command.ts";
import { conclude } from "../conclude.ts";
import { readCopyRetention } from "../instances/export-flags.ts";
import { readBackupName } from "../names.ts";

export const exportBackup = command({
  positionals: { "INSTANCE/BACKUP": { help: "its name", read: readBackupName } },
  flags: {
    "gcs-bucket": {
      type: "string",
      value: "BUCKET",
      help: "in the backup's region; its name, without gs:// and without a prefix",
      isRequired: true,
      read: bucketOf,
    },
    retention: {
      type: "string",
      value: "TIME",
      help: "how long the copy is kept there, 1d to 36500d, such as 90d; for ever where absent",
      read: readCopyRetention,
    },
    "onward-gcs-bucket": {
      type: "string",
      value: "BUCKET",
      help: "copied to from there, in any region",
      read: bucketOf,
    },
    "onward-retention": {
      type: "string",
      value: "TIME",
      help: "how long the copy is kept there; for ever where absent",
      read: readCopyRetention,
    },
    "request-id": { ...requestIdFlag["request-id"], read: requestIdOf },
    ...asyncFlag,
  },
  example: "valkeep backups export orders/before-release --gcs-bucket=my-exports",

  async run({ positionals: { "INSTANCE/BACKUP": backup }, flags }, session) {
    const { "gcs-bucket": gcsBucket, retention, "request-id": requestId } = flags;
    const { "onward-gcs-bucket": onwardBucket, "onward-retention": onwardRetention } = flags;
    if (onwardBucket === undefined && onwardRetention !== undefined)
      throw new StatusError("INVALID_ARGUMENT", "--onward-retention is of use only with --onward-gcs-bucket");
    const onward = onwardBucket !== undefined && { onward: placeOf(onwardBucket, onwardRetention) };
    const data = { backup, ...placeOf(gcsBucket, retention), ...onward, ...(requestId !== undefined && { requestId }) };
    const { ports } = await session.connect();
    return await conclude(await submit(ports, "export.v1.requested", data), flags.async, ports, session);
  },
});

const placeOf = (gcsBucket: string, retention: string | undefined) => ({
  gcsBucket,
  ...(retention !== undefined && { retention }),
});
