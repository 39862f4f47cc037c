import type { Operation } from "../../../shared/backup/operation.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { conclude } from "../conclude.ts";

export const rebuild = command({
  positionals: {},
  flags: { ...asyncFlag },
  example: "valkeep catalogue rebuild",

  async run({ flags }, session) {
    const { ports } = await session.connect();
    const name = await submit(ports, "rebuild.v1.requested", {});
    await conclude(name, flags.async, ports, session);
    const { refused } = (await ports.store.get<Operation>(name))?.data.response ?? {};
    if (Number(refused ?? 0) > 0)
      session.say(`${refused} manifests were not taken over; valkeep catalogue check says why of each`);
    return undefined;
  },
});
