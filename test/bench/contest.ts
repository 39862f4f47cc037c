import { say } from "./say.ts";

/** One way to do the job. */
export interface Contestant {
  name: string;
  /** Does it once and answers how many seconds it took; throws if the result was not right. */
  run(): Promise<number>;
  /** What its median may be of the anchor's. Without it the ratio is only told. */
  target?: number;
}

/** Every run of every contestant, in seconds; the first is the anchor that the others are compared with. */
export interface Contest {
  title: string;
  entries: { name: string; seconds: number[]; target?: number }[];
}

/**
 * Runs them in turn, A B C A B C …: what the machine does besides hits all of them alike. `before` makes each run begin
 * in the same state, and is not measured.
 */
export async function compete(
  title: string,
  runs: number,
  contestants: readonly Contestant[],
  before: () => Promise<unknown> = async () => undefined,
): Promise<Contest> {
  const entries: Contest["entries"] = contestants.map(({ name, target }) => ({
    name,
    seconds: [],
    ...(target !== undefined && { target }),
  }));
  for (let round = 1; round <= runs; round++) {
    for (const [at, { name, run }] of contestants.entries()) {
      await before();
      const seconds = await run();
      entries[at]?.seconds.push(seconds);
      say(`${title}, run ${round} of ${runs}: ${seconds.toFixed(2)} s  ${name}`);
    }
  }
  return { title, entries };
}

/** The middle one; of an even number the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[(sorted.length - 1) >> 1], sorted[half]];
  return (low + high) / 2;
}
