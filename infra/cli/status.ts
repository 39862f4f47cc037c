import { command } from "./command.ts";
import { gather } from "./status/gather.ts";
import { screen } from "./status/screen.ts";

export const status = command({
  positionals: {},
  flags: {},
  example: "valkeep status",

  async run(_input, session) {
    const { ports } = await session.connect();
    const found = await gather(ports, session.say);
    session.print(found, screen(found));
    return found.findings.some(({ severity }) => severity === "CRITICAL") ? 1 : 0;
  },
});
