import type { Instance } from "../../../shared/backup/backup.ts";
import { health, type Reading } from "../../../shared/backup/health.ts";
import { instanceName } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import { command } from "../command.ts";
import { printDocument } from "../describe.ts";
import { readInstanceId } from "../names.ts";
import type { Session } from "../session.ts";
import { table, wrapped } from "../table.ts";

export const describe = command({
  positionals: { INSTANCE: { help: "its id", read: readInstanceId } },
  flags: {
    health: {
      type: "boolean",
      help: "ask the server itself how it fares as a source of backups; exit code 1 where something is CRITICAL",
    },
  },
  example: "valkeep instances describe orders --health",

  async run({ positionals, flags }, session) {
    const name = instanceName(positionals.INSTANCE);
    if (flags.health) return await printHealth(session, name);
    await printDocument(session, name);
    return undefined;
  },
});

async function printHealth(session: Session, name: string): Promise<number> {
  const { ports } = await session.connect();
  const found = await ports.store.get<Instance>(name);
  if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
  const readings = health(await ports.valkey.inspect(found.data, session.signal));
  session.print(readings, table(wrapped(readings.map(rowOf), session.columns)));
  return readings.some(({ state }) => state === "CRITICAL") ? 1 : 0;
}

const rowOf = ({ kind, state, message, advice }: Reading): string[] => [
  kind,
  state === "OK" ? "ok" : state,
  [message, advice].filter((text) => text !== "").join(". "),
];
