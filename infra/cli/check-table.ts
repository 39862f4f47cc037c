import type { Check } from "../../shared/backup/check.ts";
import { table, wrapped } from "./table.ts";

/** What a preflight found, a line for each check, or more where the terminal has fewer columns than it takes. */
export const checkTable = (checks: readonly Check[], columns?: number): string =>
  table(
    wrapped(
      [["CHECK", "RESULT", "FOUND"], ...checks.map(({ name, result, message }) => [name, result, message])],
      columns,
    ),
  );
