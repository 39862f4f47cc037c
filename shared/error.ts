/**
 * The codes of google.rpc.Code that valkeep uses (google/rpc/code.proto). What the pipeline does with each of them
 * stands in one table, `pipeline/verdict.ts`.
 */
const codes = [
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

export type Code = (typeof codes)[number];

/** An error that an operator can act on: what failed, on which name, expected and found, what to do next. Holds no secret, key name or value. */
export class StatusError extends Error {
  readonly code: Code;
  /** Where in the input it went wrong, in bytes from its start, where that means something. */
  readonly offset: number | undefined;

  constructor(code: Code, message: string, options: { cause?: unknown; offset?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "StatusError";
    this.code = code;
    this.offset = options.offset;
  }
}

/** The server gives no snapshots over the replication protocol, as managed services do not: another method may do. */
export class ReplicationRefused extends StatusError {}

/** Anything thrown, as a StatusError: what we do not understand is UNKNOWN, and so retryable. */
export function asStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new StatusError("UNKNOWN", message, { cause: error });
}
