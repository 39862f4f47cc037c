import { type Look, phraseOf } from "./news.ts";
import { sizeText } from "./plain.ts";

const width = 24;

/** A line that wraps could not be drawn over. */
const columns = 79;

/** How far an Operation is, in one line: a bar where the total is known, else what is done. */
export function progressLine({ operation, tasks, waited }: Look): string {
  const { step } = operation.progress;
  const present = [...tasks.values()].filter(({ type }) => type === step);
  const sum = (of: "doneBytes" | "totalBytes"): number =>
    present.reduce((total, { progress }) => total + (progress?.[of] ?? 0), 0);
  return [
    barOf(sum("doneBytes"), sum("totalBytes")),
    phraseOf(step),
    ...(present.length > 1 ? [`${present.filter(({ done }) => done).length} of ${present.length}`] : []),
    `${Math.floor(waited / 1000)} s`,
  ]
    .filter((part) => part !== "")
    .join("  ")
    .slice(0, columns);
}

/** `total` 0: it is not known. Empty before anything is done. */
export function barOf(done: number, total: number): string {
  if (done === 0) return "";
  if (total === 0) return sizeText(done);
  const share = Math.min(1, done / total);
  const bar = "#".repeat(Math.round(share * width)).padEnd(width, ".");
  return `[${bar}] ${Math.floor(share * 100)} %  ${sizeText(done)} of ${sizeText(total)}`;
}
