import type { Session } from "./session.ts";
import { table } from "./table.ts";

/** Documents as a table, or as they are with `--json`. An empty list is said on standard error. */
export function printList<T>(
  session: Session,
  what: string,
  documents: readonly T[],
  header: string[],
  rowOf: (document: T) => string[],
): void {
  if (documents.length > 0 || session.isJson) session.print(documents, table([header, ...documents.map(rowOf)]));
  if (documents.length === 0) session.say(`no ${what}`);
}
