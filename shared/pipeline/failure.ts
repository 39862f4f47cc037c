import type { OperationError } from "../backup/operation.ts";
import { asStatusError, type StatusError } from "../error.ts";

/** An error as an Operation keeps it. */
export function errorOf({ code, message, offset }: StatusError): OperationError {
  return { code, message, ...(offset !== undefined && { offset }) };
}

/** Whether a commit that failed so may yet have been applied, or can be decided anew: only reading again tells. */
export const isUnsettled = (error: unknown): boolean =>
  ["ABORTED", "UNKNOWN", "UNAVAILABLE"].includes(asStatusError(error).code);
