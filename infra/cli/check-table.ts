import type { Check } from "../../shared/backup/check.ts";
import { table } from "./table.ts";

/** What a preflight found, a line for each check. */
export const checkTable = (checks: readonly Check[]): string =>
  table([["CHECK", "RESULT", "FOUND"], ...checks.map(({ name, result, message }) => [name, result, message])]);
