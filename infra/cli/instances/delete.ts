import { collectionName, instanceName } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { conclude } from "../conclude.ts";
import { confirm, confirmFlag } from "../confirm.ts";
import { readInstanceId } from "../names.ts";
import { assertIdle, registeredIn } from "./idle.ts";

export const deleteInstance = command({
  positionals: { INSTANCE: { help: "its id", read: readInstanceId } },
  flags: { ...confirmFlag, ...asyncFlag },
  example: "valkeep instances delete orders --confirm=delete",

  async run({ positionals: { INSTANCE: id }, flags }, session) {
    const { ports } = await session.connect();
    const name = instanceName(id);
    if ((await ports.store.get(name)) === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
    await confirm(flags.confirm, `${name} and its schedule go; ${collectionName(id)} stays.`, session);
    const operation = await submit(ports, "instance.v1.changed", { instance: id }, async (change) => {
      const instance = await registeredIn(change, id);
      if (instance.deletionProtectionEnabled) {
        const advice = `valkeep instances update ${id} --no-deletion-protection-enabled ends that`;
        throw new StatusError("FAILED_PRECONDITION", `${name} is protected from deletion; ${advice}`);
      }
      await assertIdle(change, instance);
      change.remove(name);
    });
    return await conclude(operation, flags.async, ports, session);
  },
});
