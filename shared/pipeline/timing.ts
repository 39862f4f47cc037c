/** Every span of the loop, in milliseconds. */
export interface Timing {
  /** How long a claim holds without renewal. */
  lease: number;
  /** How often it is renewed. */
  renewal: number;
  /** The holder aborts itself so long before its lease would end. */
  margin: number;
  /** The holder aborts itself so long after the message arrived: the platform would give up at 600 s. */
  delivery: number;
  /** `relay` looks after a Task or an outbox entry that nobody has touched for so long. */
  neglect: number;
  /** Claims of one Task in a row that bring nothing before it has failed for good. */
  maxAttempts: number;
}

/** The longest lease that any function gives, in milliseconds: 60 s. */
export const longestLease = 60_000;

/**
 * The spans for a lease of so many seconds, 10 to 60. What a killed function had in its hands waits for the end of its
 * lease; each third of it costs a write.
 */
export function timingOf(leaseSeconds: number = longestLease / 1000): Timing {
  const lease = 1000 * leaseSeconds;
  return { lease, renewal: lease / 3, margin: lease / 6, delivery: 540_000, neglect: lease, maxAttempts: 10 };
}

export const timing: Timing = timingOf();
