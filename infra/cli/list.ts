import { type Cell, cellText, type TimeStyle } from "./cell.ts";
import { type SelectionFlags, select } from "./selection.ts";
import type { Session } from "./session.ts";
import { fitted, table, wrapped } from "./table.ts";

/** What is listed, and how. */
export interface Listing<T> {
  /** What the documents are, in the plural. */
  what: string;
  documents: readonly T[];
  header: string[];
  rowOf(document: T): Cell[];
  /** Fields that a document need not have: to ask for them is no mistake even if none has them. */
  optional: readonly string[];
}

/** Of the documents those that the flags ask for, as a table, or as they are with `--json`. */
export async function printSelection<T>(session: Session, listing: Listing<T>, flags: SelectionFlags): Promise<void> {
  const { what, documents, header, rowOf, optional } = listing;
  const { ports } = await session.connect();
  const now = ports.clock.now();
  const selected = select(documents, flags, optional, now);
  const isFilteredAway = documents.length > 0 && selected.length === 0;
  printList(session, isFilteredAway ? `${what} match the filter` : what, selected, header, rowOf, { now });
}

/** Columns of sentences, which stand last: advice that is cut is no advice, so they go on in the next line. */
const sentences: ReadonlySet<string | undefined> = new Set(["MESSAGE", "REASON", "DETAIL"]);

/** Documents as a table, or as they are with `--json`. An empty list is said on standard error. */
export function printList<T>(
  session: Session,
  what: string,
  documents: readonly T[],
  header: string[],
  rowOf: (document: T) => Cell[],
  watched: TimeStyle = "minute",
): void {
  if (documents.length > 0 || session.isJson)
    session.print(documents, listText(header, documents.map(rowOf), session.columns, watched));
  if (documents.length === 0) session.say(`no ${what}`);
}

/**
 * A pipe gets every time as it is, so that what reads it can rely on it. On a terminal times are for people, and where the lines do
 * not fit, the distances go first, then what stands at the right, unless it is a sentence.
 */
function listText(header: string[], rows: Cell[][], columns: number | undefined, watched: TimeStyle): string {
  const right = new Set([...header.keys()].filter((i) => rows.some((row) => isAmount(row[i]))));
  const lines = (style: TimeStyle) => [header, ...rows.map((row) => row.map((cell) => cellText(cell, style)))];
  const text = (style: TimeStyle) => table(lines(style), right);
  if (columns === undefined) return text("exact");
  const wide = text(watched);
  if (fitted(wide, columns) === wide) return wide;
  return sentences.has(header.at(-1))
    ? table(wrapped(lines("minute"), columns), right)
    : fitted(text("minute"), columns);
}

const isAmount = (cell: Cell | undefined): boolean => typeof cell === "object" && cell.kind === "amount";
