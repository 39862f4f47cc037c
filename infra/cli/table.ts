import { folded } from "./glossary.ts";
import { plain } from "./plain.ts";

/** Rows in aligned columns, two spaces apart, no spaces at the end of a line. `right`: the columns that are aligned there, from 0. */
export function table(rows: readonly (readonly string[])[], right: ReadonlySet<number> = new Set()): string {
  const shown = rows.map((row) => row.map(plain));
  const widths = widthsOf(shown);
  const aligned = (cell: string, i: number): string =>
    right.has(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0);
  return shown.map((row) => row.map(aligned).join("  ").trimEnd()).join("\n");
}

/** In fewer columns a sentence is harder to read than one that the terminal wraps. */
const narrowest = 24;

/**
 * Rows whose last cells are sentences, in more rows: on a terminal of so many columns a sentence goes on below where it began.
 * `columns`: absent where no terminal shows them, which leaves the rows as they are.
 */
export function wrapped(
  rows: readonly (readonly string[])[],
  columns: number | undefined,
): readonly (readonly string[])[] {
  const before = widthsOf(rows.map((row) => row.slice(0, -1))).reduce((sum, width) => sum + width + 2, 0);
  if (columns === undefined || columns - before < narrowest) return rows;
  return rows.flatMap((row) => {
    const [first = "", ...more] = folded(row.at(-1) ?? "", columns - before);
    return [[...row.slice(0, -1), first], ...more.map((line) => [...row.slice(0, -1).map(() => ""), line])];
  });
}

function widthsOf(rows: readonly (readonly string[])[]): number[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return widths;
}

/** Lines no longer than `columns`, but never shorter than their first word: a name that is cut is no name. */
export function fitted(text: string, columns: number): string {
  return text
    .split("\n")
    .map((line) => (line.length <= columns ? line : cut(line, Math.max(columns - 1, line.search(/\s|$/)))))
    .join("\n");
}

const cut = (line: string, length: number): string => `${line.slice(0, length).trimEnd()}…`;
