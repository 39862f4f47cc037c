import type { Code, StatusError } from "../error.ts";

/**
 * What the loop does with an error. `retry`: release the lease, fail the delivery, come again. `fail`: the Operation
 * has failed, somebody is told. `refuse`: the step said no; recorded, nobody is alarmed.
 */
export type Verdict = "retry" | "fail" | "refuse";

const verdicts: Record<Code, Verdict> = {
  UNAVAILABLE: "retry",
  ABORTED: "retry",
  RESOURCE_EXHAUSTED: "retry",
  UNKNOWN: "retry",
  INTERNAL: "retry",
  CANCELLED: "retry",
  INVALID_ARGUMENT: "fail",
  UNAUTHENTICATED: "fail",
  PERMISSION_DENIED: "fail",
  UNIMPLEMENTED: "fail",
  DATA_LOSS: "fail",
  DEADLINE_EXCEEDED: "fail",
  FAILED_PRECONDITION: "refuse",
  NOT_FOUND: "refuse",
  ALREADY_EXISTS: "refuse",
};

/** `goesOn`: the step does not start over, so running out of time is no reason to fail. */
export const verdictOn = ({ code }: StatusError, goesOn = false): Verdict =>
  goesOn && code === "DEADLINE_EXCEEDED" ? "retry" : verdicts[code];
