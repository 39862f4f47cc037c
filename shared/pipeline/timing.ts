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
  /** Claims of one Task before it has failed for good. */
  maxAttempts: number;
}

export const timing: Timing = {
  lease: 60_000,
  renewal: 20_000,
  margin: 10_000,
  delivery: 540_000,
  neglect: 60_000,
  maxAttempts: 10,
};
