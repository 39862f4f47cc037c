import type { OperationError } from "../backup/operation.ts";
import type { StatusError } from "../error.ts";

/** An error as an Operation keeps it. */
export function errorOf({ code, message, offset }: StatusError): OperationError {
  return { code, message, ...(offset !== undefined && { offset }) };
}
