import type { Operation, Task } from "../../../shared/backup/operation.ts";
import type { Ports } from "../../../shared/pipeline/ports.ts";
import { table } from "../../cli/table.ts";

const began = performance.now();

/** One line, with the seconds since the demo began. */
export function say(text: string): void {
  console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}`);
}

export const mega = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** One row of the table at the end. */
export interface Row {
  what: string;
  outcome: string;
  isRight: boolean;
  seconds: number;
}

/** Waits for the end of an Operation and shows each of its steps as it begins and ends. */
export async function follow(ports: Ports, name: string): Promise<Operation> {
  const shown = new Map<string, string>();
  for (;;) {
    const operation = await ports.store.get<Operation>(name);
    for (const { path, data } of await ports.store.query<Task>({ collection: `${name}/tasks` }))
      tell(path, data, shown);
    if (operation?.data.done === true) return operation.data;
    await ports.clock.sleep(100);
  }
}

function tell(path: string, task: Task, shown: Map<string, string>): void {
  const step = path.slice(path.lastIndexOf("/") + 1);
  const state = task.done ? "done" : task.lease === undefined ? "asked" : "running";
  const news =
    task.error === undefined || task.done ? state : `${state}, attempt ${task.attempt}: ${task.error.message}`;
  if (shown.get(step) === news) return;
  shown.set(step, news);
  say(`  ${step.padEnd(26)} ${news}`);
}

/** A table within the story, indented like its lines. */
export const show = (text: string): void => console.log(text.replaceAll(/^/gm, " ".repeat(12)));

/** The table of everything that was done, and whether each came out as it should. */
export function summary(rows: readonly Row[]): string {
  const lines = rows.map(({ what, outcome, isRight, seconds }) => [
    isRight ? "yes" : "NO",
    seconds.toFixed(1),
    what,
    outcome,
  ]);
  return table([["RIGHT", "SECONDS", "WHAT", "OUTCOME"], ...lines], new Set([1]));
}
