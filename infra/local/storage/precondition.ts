import { conditionNotMet, invalid } from "./error.ts";

const conditions = ["GenerationMatch", "GenerationNotMatch", "MetagenerationMatch", "MetagenerationNotMatch"] as const;

/** What must hold of an object for a request to go on. A missing object has generation and metageneration 0. */
export type Preconditions = Partial<Record<(typeof conditions)[number], number>>;

/** What preconditions look at: a live object or a bucket. */
export interface Versioned {
  generation: number;
  metageneration: number;
}

/** Reads `ifGenerationMatch` and its three siblings from a query; with prefix `ifSource` those of a rewrite's source. */
export function readPreconditions(query: URLSearchParams, prefix: "if" | "ifSource" = "if"): Preconditions {
  const found: Preconditions = {};
  for (const condition of conditions) {
    const value = query.get(prefix + condition);
    if (value !== null) found[condition] = wholeNumber(prefix + condition, value);
  }
  return found;
}

/** A parameter that must be a whole number of 0 or more. */
export function wholeNumber(parameter: string, value: string): number {
  if (!/^\d{1,19}$/.test(value)) throw invalid(`Invalid value for ${parameter}: expected a whole number`);
  return Number(value);
}

/** Throws 412 unless every precondition holds of what is there now, or of its absence. */
export function checkPreconditions(wanted: Preconditions, actual: Versioned | undefined): void {
  const { generation, metageneration } = actual ?? { generation: 0, metageneration: 0 };
  const holds =
    (wanted.GenerationMatch === undefined || wanted.GenerationMatch === generation) &&
    (wanted.MetagenerationMatch === undefined || (actual && wanted.MetagenerationMatch === metageneration)) &&
    !isUnchanged(wanted, { generation, metageneration });
  if (!holds) throw conditionNotMet();
}

/** Whether a "not match" precondition names exactly what is there: a read answers 304 then, anything else 412. */
export function isUnchanged(wanted: Preconditions, actual: Versioned): boolean {
  return wanted.GenerationNotMatch === actual.generation || wanted.MetagenerationNotMatch === actual.metageneration;
}
