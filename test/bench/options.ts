import { parseArgs } from "node:util";

/** What can be measured, in the order in which it is. */
export const measures = ["check", "snapshot", "restore", "pipeline", "memory", "plan", "fleet"] as const;

export type Measure = (typeof measures)[number];

export interface Options {
  /** About the size of the RDB file that everything works on, in 10^6 bytes. */
  sizeMb: number;
  /** How often each contestant of a contest runs. */
  runs: number;
  only: ReadonlySet<Measure>;
}

/** Reads `--size-mb=1000 --runs=5 --only=check,snapshot`; throws what is wrong with them. */
export function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      "size-mb": { type: "string", default: "1000" },
      runs: { type: "string", default: "5" },
      only: { type: "string", default: measures.join(",") },
    },
  });
  return {
    sizeMb: wholeNumber("size-mb", values["size-mb"], 100_000),
    runs: wholeNumber("runs", values.runs, 100),
    only: new Set(values.only.split(",").map(measureOf)),
  };
}

function wholeNumber(flag: string, text: string, highest: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= highest) return value;
  throw new Error(`--${flag}=${text}: expected a whole number from 1 to ${highest}`);
}

function measureOf(text: string): Measure {
  const measure = measures.find((name) => name === text);
  if (measure === undefined) throw new Error(`--only=${text}: expected some of ${measures.join(",")}`);
  return measure;
}
