import type { Severity } from "./finding.ts";
import type { Inspection, Verdict } from "./health.ts";

export const ok = (message: string): Verdict => ({ state: "OK", message, advice: "" });

/** `what`: the field or setting that the server did not tell. */
export const unread = (what: string): Verdict => ({
  state: "UNREAD",
  message: `the server does not tell ${what}`,
  advice: "",
});

export const fault = (state: Severity, message: string, advice: string): Verdict => ({ state, message, advice });

/** A number of INFO; `undefined` where it is absent or none. */
export function numberOf({ info }: Inspection, field: string): number | undefined {
  const text = info[field];
  const value = text === undefined || text === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}
