import { type Look, phraseOf } from "./news.ts";
import { sizeText } from "./plain.ts";

const width = 24;

/** A line that wraps could not be drawn over. */
const columns = 79;

/** How far an Operation is, in one line: a bar where the total is known, else what is done. Of a restore's parts the plan knows all. */
export function progressLine({ operation, tasks, waited }: Look): string {
  const { step } = operation.progress;
  const plan = step === "part.v1.requested" ? operation.plan : undefined;
  const present = [...tasks.values()].filter(({ type }) => type === step);
  const sum = (of: "doneBytes" | "totalBytes"): number =>
    present.reduce((total, { progress }) => total + (progress?.[of] ?? 0), 0);
  const loadedBytes = plan?.loaded.reduce((total, { sizeBytes }) => total + sizeBytes, 0) ?? 0;
  const totalBytes = plan?.files.reduce((total, { sizeBytes }) => total + sizeBytes, 0) ?? sum("totalBytes");
  const [done, count] = plan
    ? [plan.loadedCount, plan.parts.length]
    : [present.filter((task) => task.done).length, present.length];
  return [
    barOf(loadedBytes + sum("doneBytes"), totalBytes),
    phraseOf(step),
    ...(count > 1 ? [`${done} of ${count}`] : []),
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
