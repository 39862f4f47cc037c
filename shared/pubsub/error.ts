import { type Code, StatusError } from "../error.ts";

/** What Pub/Sub's gRPC status codes mean to a publisher (cloud.google.com/pubsub/docs/reference/error-codes). */
const codes: Record<number, Code> = {
  1: "UNAVAILABLE",
  3: "INVALID_ARGUMENT",
  4: "UNAVAILABLE",
  // No such topic: somebody has to make it, and then the message goes out.
  5: "UNAVAILABLE",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  10: "UNAVAILABLE",
  13: "UNAVAILABLE",
  14: "UNAVAILABLE",
  16: "UNAUTHENTICATED",
};

/** What Pub/Sub threw, as our error. */
export function translated(error: unknown, what: string): StatusError {
  if (error instanceof StatusError) return error;
  const code = error instanceof Error && "code" in error ? Number(error.code) : Number.NaN;
  const said = error instanceof Error ? error.message : String(error);
  return new StatusError(codes[code] ?? "UNKNOWN", `${what}: Pub/Sub said: ${said.slice(0, 500)}`, { cause: error });
}
