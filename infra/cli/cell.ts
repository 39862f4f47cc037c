import { sizeText } from "./plain.ts";

/** What stands in one place of a table. Amounts stand at the right of their column. */
export type Cell = string | { kind: "amount"; text: string } | { kind: "time"; time: string };

export const amount = (value: number | string): Cell => ({ kind: "amount", text: String(value) });

export const size = (bytes: number): Cell => amount(sizeText(bytes));

/** RFC 3339 in UTC; nothing where it has not come yet. */
export const time = (text: string | undefined): Cell => (text === undefined ? "" : { kind: "time", time: text });

/** How times are shown: as they are, to the minute, or to the minute with their distance from `now`, milliseconds since 1970. */
export type TimeStyle = "exact" | "minute" | { now: number };

/** A cell as text. */
export function cellText(cell: Cell, style: TimeStyle): string {
  if (typeof cell === "string") return cell;
  return cell.kind === "amount" ? cell.text : timeText(cell.time, style);
}

function timeText(text: string, style: TimeStyle): string {
  const milliseconds = Date.parse(text);
  if (style === "exact" || Number.isNaN(milliseconds)) return text;
  const minute = `${text.slice(0, 16).replace("T", " ")}Z`;
  return style === "minute" ? minute : `${minute} (${distanceText(milliseconds - style.now)})`;
}

const steps = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
] as const;

/** `3d ago`, `in 36h`: in the largest unit of which there are two at least. */
function distanceText(milliseconds: number): string {
  const seconds = Math.floor(Math.abs(milliseconds) / 1000);
  const [unit, length] = steps.find(([, step]) => seconds >= 2 * step) ?? ["s", 1];
  const count = `${Math.floor(seconds / length)}${unit}`;
  return milliseconds > 0 ? `in ${count}` : `${count} ago`;
}
