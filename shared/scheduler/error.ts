import { type Code, StatusError } from "../error.ts";

/** gRPC status codes that we look at ourselves (grpc.github.io/grpc/core/md_doc_statuscodes.html). */
export const status = { NOT_FOUND: 5, ALREADY_EXISTS: 6, FAILED_PRECONDITION: 9 } as const;

const codes: Record<number, Code> = {
  1: "UNAVAILABLE",
  3: "INVALID_ARGUMENT",
  4: "UNAVAILABLE",
  5: "NOT_FOUND",
  6: "ABORTED",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  9: "ABORTED",
  10: "ABORTED",
  12: "UNIMPLEMENTED",
  13: "UNAVAILABLE",
  14: "UNAVAILABLE",
  16: "UNAUTHENTICATED",
};

/** The gRPC status of what the library threw; NaN where it has none. */
export const statusOf = (error: unknown): number =>
  error instanceof Error && "code" in error ? Number(error.code) : Number.NaN;

/** What Cloud Scheduler threw, as our error: a state that somebody else changed meanwhile is ABORTED. */
export function translated(error: unknown, what: string): StatusError {
  if (error instanceof StatusError) return error;
  const said = error instanceof Error ? error.message : String(error);
  const code = codes[statusOf(error)] ?? "UNKNOWN";
  return new StatusError(code, `${what}: Cloud Scheduler said: ${said.slice(0, 500)}`, { cause: error });
}
