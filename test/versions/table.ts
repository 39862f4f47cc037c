import type { Pair } from "./pair.ts";
import { nameOf, type Release } from "./release.ts";
import type { Way } from "./way.ts";

const begin = "<!-- versions: `npm run test:versions -- --write` makes this -->";
const end = "<!-- /versions -->";

/** What a cell of the table says of one pair. */
export type Verdict = Pick<Pair, "outcome" | "loadsAsFile"> & { reason?: string };

/**
 * The block of the README: a row for each source and what it holds, a column for each target, then the reasons; and, by itself, a row
 * for each method.
 */
export function blockOf(pairs: readonly Pair[], ways: readonly Way[], targets: readonly Release[]): string {
  const reasons = [...new Set(pairs.flatMap((pair) => verdictOf(pair).reason ?? []))];
  const cell = (pair: Pair | undefined) => {
    if (pair === undefined) return "";
    const { outcome, loadsAsFile, reason } = verdictOf(pair);
    if (outcome === "RESTORED") return loadsAsFile ? "yes" : "**yes**";
    return `${outcome === "REFUSED" ? "no" : "WRONG"} ${reasons.indexOf(reason ?? "") + 1}`;
  };
  const rows = [...new Set(pairs.map(rowOf))].map((row) => {
    const found = pairs.filter((pair) => rowOf(pair) === row);
    return [row, ...targets.map((target) => cell(found.find((pair) => pair.target === target)))].join(" | ");
  });
  return [
    begin,
    ["| a backup of | that holds", ...targets.map((target) => `into ${nameOf(target)}`), ""].join(" | ").trimEnd(),
    `|${" --- |".repeat(targets.length + 2)}`,
    ...rows.map((row) => `| ${row} |`),
    "",
    ...reasons.map((reason, at) => `${at + 1}. ${reason}`),
    "",
    ["| a snapshot of all that it holds by", ...targets.map((release) => `of ${nameOf(release)}`), ""]
      .join(" | ")
      .trimEnd(),
    `|${" --- |".repeat(targets.length + 1)}`,
    ...[...new Set(ways.map(({ method }) => method))].map((method) => {
      const cells = targets.map((release) =>
        wayText(ways.find((way) => way.method === method && way.source === release)),
      );
      return `| ${[method, ...cells].join(" | ")} |`;
    }),
    end,
  ].join("\n");
}

const rowOf = ({ source, holding }: Pick<Pair, "source" | "holding">): string => `${nameOf(source)} | ${holding}`;

/** As the table tells it: without patch releases, which come and go in Debian. */
export function verdictOf({ outcome, loadsAsFile, reason }: Pair): Verdict {
  if (reason === undefined) return { outcome, loadsAsFile };
  return { outcome, loadsAsFile: false, reason: reason.replace(/\b(\d+\.\d+)\.\d+\b/g, "$1") };
}

/** Of one way: restored to equal data, and the server itself starts with the file. */
export function wayText(way: Way | undefined): string {
  if (way === undefined) return "";
  return way.outcome === "RESTORED" && way.loadsAsFile ? "yes" : "WRONG";
}

/** What a README says of a way; nothing if it has no such row or column. */
export const wayToldBy = (readme: string, { method, source }: Way): string | undefined =>
  cellIn(blockIn(readme).split("\n"), "| a snapshot of", `| ${method} |`, `of ${nameOf(source)}`);

/** The text of a cell, by how the line of its table's names and its row begin, and by its column. */
function cellIn(lines: readonly string[], names: string, row: string, column: string): string | undefined {
  const cells = (line: string | undefined) => (line ?? "").split("|").map((text) => text.trim());
  const at = cells(lines.find((line) => line.startsWith(names))).indexOf(column);
  return cells(lines.find((line) => line.startsWith(row)))[at];
}

/** What a README says of a pair; nothing if it has no such row or column. */
export function toldBy(readme: string, { source, holding, target }: Pair): Verdict | undefined {
  const lines = blockIn(readme).split("\n");
  const told = cellIn(lines, "| a backup of", `| ${rowOf({ source, holding })} |`, `into ${nameOf(target)}`);
  if (told === "yes" || told === "**yes**") return { outcome: "RESTORED", loadsAsFile: told === "yes" };
  const number = /^no (\d+)$/.exec(told ?? "")?.[1];
  const prefix = `${number}. `;
  const reason = lines.find((line) => line.startsWith(prefix))?.slice(prefix.length);
  return reason === undefined ? undefined : { outcome: "REFUSED", loadsAsFile: false, reason };
}

/** The README with another block. */
export const withBlock = (readme: string, block: string): string => readme.replace(blockIn(readme), () => block);

function blockIn(readme: string): string {
  const [first, last] = [readme.indexOf(begin), readme.indexOf(end)];
  if (first < 0 || last < first) throw new Error(`README.md lacks its block between ${begin} and ${end}`);
  return readme.slice(first, last + end.length);
}
