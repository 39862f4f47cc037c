import type { Operation, Task } from "../../shared/backup/operation.ts";
import { asStatusError, StatusError } from "../../shared/error.ts";
import type { Doc, Ports } from "../../shared/pipeline/ports.ts";
import { Interrupted, OperationFailed } from "./exit-code.ts";
import { shortName } from "./names.ts";
import { createNews, type Look } from "./news.ts";
import { progressLine } from "./progress-bar.ts";
import type { Session } from "./session.ts";

/** Milliseconds between two looks: the first, and the longest. */
const shortest = 250;
const longest = 1_000;

/** For so many milliseconds on end the store may fail to answer. */
const forbearance = 60_000;

/**
 * Waits for the end of an Operation and shows how it goes. Throws `OperationFailed` with its error, `Interrupted` after Ctrl-C. A store
 * that does not answer for a while says nothing about the Operation: it is asked again, for a minute.
 */
export async function waitFor(name: string, { store, clock }: Ports, session: Session): Promise<Operation> {
  const newsOf = createNews();
  const look = createLook(name, { store, clock }, session);
  for (let pause = shortest; ; pause = Math.min(longest, pause * 1.2)) {
    const seen = await look();
    if (seen?.operation.done) {
      clear(session);
      if (seen.operation.error !== undefined) throw new OperationFailed(seen.operation, seen.operation.error);
      return seen.operation;
    }
    if (seen !== undefined) show(seen, newsOf, session);
    await clock.sleep(pause, session.signal).catch((error) => {
      if (!session.signal.aborted) throw error;
    });
    if (session.signal.aborted) {
      clear(session);
      throw new Interrupted(`${name} goes on; ${adviceFor(name)}`);
    }
  }
}

const adviceFor = (name: string): string => `valkeep operations wait ${shortName(name)} waits for its end`;

/** Looks at an Operation; `undefined` while the store does not answer any more. */
function createLook(name: string, { store, clock }: Pick<Ports, "store" | "clock">, session: Session) {
  const started = clock.monotonic();
  let silentSince: number | undefined;
  let hasAnswered = false;
  return async (): Promise<Look | undefined> => {
    try {
      const operation = (await store.get<Operation>(name))?.data;
      if (operation === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
      const tasks = operation.done ? [] : await store.query<Task>({ collection: `${name}/tasks` });
      silentSince = undefined;
      hasAnswered = true;
      return { operation, tasks: byId(tasks), now: clock.now(), waited: clock.monotonic() - started };
    } catch (error) {
      const { code, message } = asStatusError(error);
      const isPassing = hasAnswered && (code === "UNAVAILABLE" || code === "UNKNOWN" || code === "DEADLINE_EXCEEDED");
      if (!isPassing) throw error;
      if (clock.monotonic() - (silentSince ?? clock.monotonic()) >= forbearance)
        throw new StatusError(code, `${name} may go on, nobody can look: ${message}; ${adviceFor(name)}`, {
          cause: error,
        });
      if (silentSince === undefined) session.say(`${name} cannot be looked at now, trying again: ${message} (${code})`);
      silentSince ??= clock.monotonic();
      return undefined;
    }
  };
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
