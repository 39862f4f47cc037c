import { type Check, refusalOf } from "../../shared/backup/check.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { type Code, StatusError } from "../../shared/error.ts";

/** An Operation that ended, but not well. */
export class OperationFailed extends StatusError {
  readonly operation: string;
  /** Where it was a preflight that refused: all that it found. */
  readonly checks: readonly Check[] | undefined;

  constructor({ name, checks = [] }: Operation, { code, message, offset }: NonNullable<Operation["error"]>) {
    super(code, message, offset === undefined ? {} : { offset });
    this.name = "OperationFailed";
    this.operation = name;
    this.checks = refusalOf(checks) === undefined ? undefined : checks;
  }
}

/** Ctrl-C, where an Operation goes on without us. */
export class Interrupted extends StatusError {
  constructor(message: string) {
    super("CANCELLED", message);
    this.name = "Interrupted";
  }
}

const refusals: readonly Code[] = ["FAILED_PRECONDITION", "NOT_FOUND", "ALREADY_EXISTS"];

/**
 * 1 failed, 2 wrong usage, 3 refused; 130, as the shell has it, after Ctrl-C. An Operation that found its request malformed has
 * failed: the usage was right.
 */
export function exitCodeOf(error: StatusError): number {
  if (error instanceof Interrupted) return 130;
  if (refusals.includes(error.code)) return 3;
  return error.code === "INVALID_ARGUMENT" && !(error instanceof OperationFailed) ? 2 : 1;
}
