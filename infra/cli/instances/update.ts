import type { Instance } from "../../../shared/backup/backup.ts";
import { withExportPolicy } from "../../../shared/backup/export-policy.ts";
import { changedInstance, isReachedAnew } from "../../../shared/backup/instance.ts";
import { instanceName } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { conclude } from "../conclude.ts";
import { readInstanceId } from "../names.ts";
import { tellOfDisabled } from "./disabled.ts";
import { exportFlags, exportSettingsOf } from "./export-flags.ts";
import { settingFlags, settingsOf } from "./flags.ts";
import { assertIdle, registeredIn } from "./idle.ts";

export const update = command({
  positionals: { INSTANCE: { help: "its id", read: readInstanceId } },
  flags: {
    endpoint: { type: "string", value: "HOST:PORT", help: "where it answers" },
    ...settingFlags,
    ...exportFlags,
    state: {
      type: "string",
      value: "STATE",
      help: "updating, while somebody works at it: no backup starts; or active",
    },
    "clear-auth": { type: "boolean", help: "forget the user and the reference to the password" },
    ...asyncFlag,
  },
  example: "valkeep instances update orders --automated-backup-config-retention=30d",

  async run({ positionals: { INSTANCE: id }, flags }, session) {
    const own = { endpoint: flags.endpoint, state: flags.state, clearAuth: flags["clear-auth"] };
    const settings = { ...own, ...(await settingsOf(flags)) };
    const exporting = exportSettingsOf(flags);
    if ([...Object.values(settings), ...Object.values(exporting)].every((value) => value === undefined))
      throw new StatusError("INVALID_ARGUMENT", "nothing is to be changed: give a flag");
    const { ports } = await session.connect();
    const outcome: { instance?: Instance } = {};
    const name = await submit(ports, "instance.v1.changed", { instance: id }, async (change) => {
      const before = await registeredIn(change, id);
      const after = withExportPolicy(changedInstance(before, settings, change.now), exporting, ports.settings);
      if (isReachedAnew(before, after)) await assertIdle(change, before);
      change.put(after.name, after);
      outcome.instance = after;
    });
    if (outcome.instance !== undefined) tellOfDisabled(outcome.instance, settings, session.say);
    return await conclude(name, flags.async, ports, session, () => instanceName(id));
  },
});
