import type { Domain } from "node:domain";

/**
 * Goes on outside of the domain in which functions-framework runs a delivery: its hooks would go along with every promise, timer and
 * socket of it. What the domain is there for does not change: an error that nobody catches ends the
 * process with it and without it, and Pub/Sub brings the message again.
 */
export function leaveDomain(): void {
  const { domain } = process as { domain?: Domain | null };
  domain?.exit();
}
