import { type Code, StatusError } from "../error.ts";

/** gRPC status codes that Firestore answers with (grpc.github.io/grpc/core/md_doc_statuscodes.html). */
const grpc = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const;

/**
 * What Firestore threw, as our error. A precondition of a commit that did not hold is ABORTED, whichever of its four
 * codes tells it. So is the second try of a commit whose first answer was lost: the library repeats commits by itself,
 * and then finds its own write. The caller reads again and sees.
 */
export function translated(error: unknown, what: string, isCommit: boolean): StatusError {
  if (error instanceof StatusError) return error;
  const said = error instanceof Error ? error.message : String(error);
  return new StatusError(codeOf(error, isCommit), `${what}: Firestore said: ${said.slice(0, 500)}`, { cause: error });
}

function codeOf(error: unknown, isCommit: boolean): Code {
  switch (typeof error === "object" && error !== null && "code" in error ? error.code : undefined) {
    case grpc.NOT_FOUND:
    case grpc.ALREADY_EXISTS:
    case grpc.FAILED_PRECONDITION:
      return isCommit ? "ABORTED" : "UNKNOWN";
    case grpc.ABORTED:
      return isCommit ? "ABORTED" : "UNAVAILABLE";
    case grpc.INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case grpc.RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case grpc.CANCELLED:
    case grpc.DEADLINE_EXCEEDED:
    case grpc.INTERNAL:
    case grpc.UNAVAILABLE:
      return "UNAVAILABLE";
    default:
      return "UNKNOWN";
  }
}
