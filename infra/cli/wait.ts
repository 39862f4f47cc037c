import type { Operation, Task } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import type { Doc, Ports } from "../../shared/pipeline/ports.ts";
import { Interrupted, OperationFailed } from "./exit-code.ts";
import { shortName } from "./names.ts";
import { createNews, type Look } from "./news.ts";
import { progressLine } from "./progress-bar.ts";
import type { Session } from "./session.ts";

/** Milliseconds between two looks: the first, and the longest. */
const shortest = 250;
const longest = 1_000;

/** Waits for the end of an Operation and shows how it goes. Throws `OperationFailed` with its error, `Interrupted` after Ctrl-C. */
export async function waitFor(name: string, { store, clock }: Ports, session: Session): Promise<Operation> {
  const started = clock.monotonic();
  const newsOf = createNews();
  for (let pause = shortest; ; pause = Math.min(longest, pause * 1.2)) {
    const operation = (await store.get<Operation>(name))?.data;
    if (operation === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
    if (operation.done) {
      clear(session);
      if (operation.error !== undefined) throw new OperationFailed(operation, operation.error);
      return operation;
    }
    const tasks = await store.query<Task>({ collection: `${name}/tasks` });
    const waited = clock.monotonic() - started;
    show({ operation, tasks: byId(tasks), now: clock.now(), waited }, newsOf, session);
    await clock.sleep(pause, session.signal).catch((error) => {
      if (!session.signal.aborted) throw error;
    });
    if (session.signal.aborted) {
      clear(session);
      throw new Interrupted(`${name} goes on; valkeep operations wait ${shortName(name)} waits for its end`);
    }
  }
}

function show(look: Look, newsOf: ReturnType<typeof createNews>, session: Session): void {
  const news = newsOf(look).filter(({ kind }) => kind === "trouble" || !session.isTerminal);
  if (news.length > 0) clear(session);
  for (const { text } of news) session.say(text);
  if (session.isTerminal) session.draw(`\r\u001b[K${progressLine(look)}`);
}

/** Takes the progress line away. */
function clear(session: Session): void {
  if (session.isTerminal) session.draw("\r\u001b[K");
}

const byId = (tasks: Doc<Task>[]): Map<string, Task> => new Map(tasks.map(({ path, data }) => [shortName(path), data]));
