import type { Instance } from "../../../shared/backup/backup.ts";
import { changedExportPolicy, withExportPolicy } from "../../../shared/backup/export-policy.ts";
import { newInstance } from "../../../shared/backup/instance.ts";
import { instanceName } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { conclude } from "../conclude.ts";
import { readInstanceId } from "../names.ts";
import { tellOfDisabled } from "./disabled.ts";
import { exportFlags, exportSettingsOf } from "./export-flags.ts";
import { settingFlags, settingsOf } from "./flags.ts";

export const create = command({
  positionals: { INSTANCE: { help: "the id to give it, such as orders", read: readInstanceId } },
  flags: {
    endpoint: { type: "string", value: "HOST:PORT", help: "where it answers", isRequired: true },
    ...settingFlags,
    ...exportFlags,
    ...asyncFlag,
  },
  example:
    "valkeep instances create orders --endpoint=10.0.0.3:6379 --automated-backup-config-mode=enabled --fixed-frequency-schedule-start-time-hours=2",

  async run({ positionals: { INSTANCE: id }, flags }, session) {
    const settings = await settingsOf(flags);
    const asked = { ...settings, id, endpoint: flags.endpoint };
    // What is malformed needs no stack to be told.
    const draft = newInstance({ ...asked, location: settings.location ?? "local" }, "", "");
    const exporting = exportSettingsOf(flags);
    changedExportPolicy(undefined, exporting);
    const { ports, location } = await session.connect();
    const uid = ports.ids.uuid();
    const name = await submit(ports, "instance.v1.changed", { instance: id }, async (change) => {
      if ((await change.read<Instance>(instanceName(id))) !== undefined)
        throw new StatusError("ALREADY_EXISTS", `${instanceName(id)} is registered already; update changes it`);
      const fresh = newInstance({ ...asked, location: settings.location ?? location }, uid, change.now);
      const instance = withExportPolicy(fresh, exporting, ports.settings);
      change.put(instance.name, instance);
    });
    tellOfDisabled(draft, settings, session.say);
    return await conclude(name, flags.async, ports, session, () => instanceName(id));
  },
});
