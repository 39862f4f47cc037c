import { type Contest, median } from "./contest.ts";
import { mega } from "./say.ts";

/** Medians, ratios to the anchor and the verdict, then each run's seconds in their order. */
export function contestTable({ title, entries }: Contest): string {
  const anchor = median(entries[0]?.seconds ?? []);
  const rows = entries.map(({ name, seconds, target }, at) => {
    const ratio = median(seconds) / anchor;
    const verdict = target === undefined ? "" : `${ratio <= target ? "met" : "MISSED"}, ≤ ${target.toFixed(2)}`;
    const runs = seconds.map((run) => run.toFixed(2)).join(" ");
    return [name, median(seconds).toFixed(2), at === 0 ? "" : ratio.toFixed(3), verdict, runs];
  });
  return table([title, "MEDIAN s", "RATIO", "TARGET", "EACH RUN, s"], rows);
}

/** The peak of one process's resident memory, in bytes, for each database that it worked on. */
export interface Peak {
  process: string;
  bytes: readonly (number | undefined)[];
}

export function memoryTable(databases: readonly string[], peaks: readonly Peak[], limitBytes: number): string {
  const rows = peaks.map(({ process, bytes }) => {
    const known = bytes.filter((peak) => peak !== undefined);
    const isMet = known.every((peak) => peak < limitBytes);
    return [
      process,
      ...bytes.map((peak) => (peak === undefined ? "" : mega(peak))),
      `${isMet ? "met" : "MISSED"}, < ${mega(limitBytes)}`,
    ];
  });
  return table(["memory: peak resident", ...databases, "TARGET"], rows);
}

/** Rows in aligned columns under their heads. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
