import type { Operation } from "../../shared/backup/operation.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { described } from "./plain.ts";
import type { Session } from "./session.ts";
import { waitFor } from "./wait.ts";

/**
 * Ends a verb that has begun an Operation. With `--async` it prints the Operation; else it waits and prints the document that came
 * of it, `made` of the Operation, or the Operation itself where there is none.
 */
export async function conclude(
  name: string,
  isAsync: boolean | undefined,
  ports: Ports,
  session: Session,
  made?: (operation: Operation) => string | undefined,
): Promise<undefined> {
  if (isAsync) {
    session.print((await ports.store.get<Operation>(name))?.data ?? { name }, name);
    return;
  }
  const operation = await waitFor(name, ports, session);
  for (const { name: check, result, message } of operation.checks ?? [])
    if (result === "WARN") session.say(`${check}: ${message}`);
  const path = made?.(operation);
  const result = path === undefined ? undefined : await ports.store.get(path);
  const shown = result?.data ?? operation;
  session.print(shown, described(result?.data ?? summaryOf(operation)));
}

/** The response's text that is a name; where the resource is gone again the Operation is shown instead. */
export const backupMade = ({ response }: Operation): string | undefined => {
  const backup = response?.backup;
  return typeof backup === "string" ? backup : undefined;
};

function summaryOf({ name, verb, target, createTime, endTime, response }: Operation) {
  return { name, verb, target, createTime, endTime, response };
}
