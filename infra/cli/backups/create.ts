import { ttlSeconds } from "../../../shared/backup/duration.ts";
import { backupIdOf, requestIdOf } from "../../../shared/backup/name.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command, requestIdFlag } from "../command.ts";
import { backupMade, conclude } from "../conclude.ts";
import { readInstanceId } from "../names.ts";

export const create = command({
  positionals: { INSTANCE: { help: "the id of a registered instance", read: readInstanceId } },
  flags: {
    "backup-id": {
      type: "string",
      value: "ID",
      help: "what to call it; its UTC date and time where absent",
      read: backupIdOf,
    },
    ttl: {
      type: "string",
      value: "TTL",
      help: "how long it is kept, 1d to 36500d, such as 14d; 100 years where absent",
      read(text) {
        ttlSeconds(text);
        return text;
      },
    },
    "request-id": { ...requestIdFlag["request-id"], read: requestIdOf },
    ...asyncFlag,
  },
  example: "valkeep backups create orders --backup-id=before-release --ttl=14d",

  async run({ positionals: { INSTANCE: instance }, flags }, session) {
    const { ports } = await session.connect();
    const { "backup-id": backupId, ttl, "request-id": requestId } = flags;
    const name = await submit(ports, "backup.v1.requested", {
      instance,
      ...(backupId !== undefined && { backupId }),
      ...(ttl !== undefined && { ttl }),
      ...(requestId !== undefined && { requestId }),
    });
    return await conclude(name, flags.async, ports, session, backupMade);
  },
});
