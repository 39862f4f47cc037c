import type { EventMap, EventType } from "../backup/event.ts";
import type { OperationError } from "../backup/operation.ts";
import type { Change } from "./change.ts";
import type { Ports } from "./ports.ts";

/** What a step knows of the message that it works on. */
export interface Work<T extends EventType> {
  type: T;
  data: EventMap[T];
  /** `operations/{operationId}` */
  operation: string;
  /** When the Operation began: the same at every delivery. */
  createTime: string;
  /** Of this claim; rises with each. */
  epoch: number;
  /** 1 for the first claim. */
  attempt: number;
  /** The same, but counted from the last attempt on that brought something. */
  inVain: number;
  /** Makes sure that the lease is still ours; throws ABORTED if it is not. For the moment before something final. */
  renew(): Promise<void>;
  /** Why the attempt before this one failed. */
  lastError?: OperationError;
  /** What an earlier attempt said last of how to go on. */
  resume?: string;
  /** Milliseconds until this delivery is given up: nothing that takes longer should be begun. */
  timeLeft(): number;
  /**
   * Shown to whoever waits; `resume` is kept, within seconds, for an attempt that comes after this one. `keptBytes`: of `doneBytes`
   * what that one need not do again, where that is not all.
   */
  progress(doneBytes: number, totalBytes?: number, resume?: string, keptBytes?: number): void;
}

/**
 * One step of the pipeline. `admit` takes locks and pins, or commits a destruction, before anything is done; `run` acts, with no
 * transaction open; `commit` says what came of it. `admit` may also put it off, by throwing `Postponed`. `admit` and
 * `commit` are called again when a document that they read has changed meanwhile, so they read documents, and write, only
 * through the Change.
 */
export interface Step<T extends EventType = EventType, R = unknown> {
  on: T;
  /** A later attempt goes on where this one ended: running out of time is no failure, and one that came further does not count. */
  goesOn?: boolean;
  /** Nobody waits for the answer to this request: a refusal alarms like a failure. */
  isUnattended?(request: unknown): boolean;
  admit?(work: Work<T>, change: Change, ports: Ports): Promise<void>;
  run?(work: Work<T>, ports: Ports, signal: AbortSignal): Promise<R>;
  commit(work: Work<T>, result: R, change: Change, ports: Ports): Promise<void>;
}

/** A step as the loop holds it, its event's type forgotten. */
export type AnyStep = Step<EventType, unknown>;

/** Checks a step's types where it is written and forgets them for the loop, which hands it only data of its own event. */
export const step = <T extends EventType, R = void>(definition: Step<T, R>): AnyStep =>
  definition as unknown as AnyStep;
