import type { IncomingMessage } from "node:http";
import { z } from "zod";
import { StatusError } from "../../../shared/error.ts";
import { ApiError, invalid } from "./error.ts";

const faultSchema = z.strictObject({
  /** Which requests it meets: all that are named must agree. `upload` are requests under /upload/, `media` reads of bytes. */
  match: z
    .strictObject({
      method: z.string().optional(),
      pathIncludes: z.string().optional(),
      upload: z.boolean().optional(),
      media: z.boolean().optional(),
    })
    .default({}),
  /** How often it happens; it counts when it happens, not when a request matches. */
  times: z.number().int().min(1).default(1),
  /** An error instead of an answer; a connection reset; silence; one byte changed on its way. */
  kind: z.enum(["status", "reset", "stall", "corrupt"]),
  status: z.number().int().min(400).max(599).default(503),
  /** How much of the body passes before: of the response for a read of bytes, of the request for anything else. */
  afterBytes: z.number().int().min(0).default(0),
});

/** A failure that a test asked for. */
export type Fault = z.infer<typeof faultSchema>;

/** What a fault can match a request by. */
export interface Target {
  method: string;
  /** Path and query as they were sent. */
  url: string;
  isUpload: boolean;
  isMedia: boolean;
}

/** The faults that are armed, met in the order in which they came. They are forgotten when the server stops. */
export class Faults {
  #armed: Fault[] = [];

  /** What is armed now, with the times that are left. */
  armed(): Fault[] {
    return this.#armed;
  }

  /** Arms one fault, as JSON has it. */
  arm(body: unknown): Fault {
    const { success, data, error } = faultSchema.safeParse(body);
    if (!success) throw invalid(`Invalid fault: ${z.prettifyError(error)}`);
    this.#armed.push(data);
    return data;
  }

  /** Disarms all. */
  clear(): void {
    this.#armed = [];
  }

  /** The fault that this request will meet, if any. */
  find(target: Target): Fault | undefined {
    return this.#armed.find((fault) => matches(fault, target));
  }

  /** Counts a fault that happens now; false if its times were used up by another request meanwhile. */
  use(fault: Fault): boolean {
    if (!this.#armed.includes(fault)) return false;
    fault.times -= 1;
    if (fault.times === 0) this.#armed = this.#armed.filter((other) => other !== fault);
    return true;
  }
}

function matches({ match }: Fault, { method, url, isUpload, isMedia }: Target): boolean {
  return (
    (match.method === undefined || match.method.toUpperCase() === method) &&
    (match.pathIncludes === undefined ||
      url.includes(match.pathIncludes) ||
      readable(url).includes(match.pathIncludes)) &&
    (match.upload === undefined || match.upload === isUpload) &&
    (match.media === undefined || match.media === isMedia)
  );
}

/** A URL with its escapes decoded where they can be. */
function readable(url: string): string {
  return url.replace(/(%[0-9a-f]{2})+/gi, (escapes) => Buffer.from(escapes.replaceAll("%", ""), "hex").toString());
}

/** The error of a `status` fault. */
export function faultError({ status }: Fault): ApiError {
  return new ApiError(
    status,
    status === 429 ? "rateLimitExceeded" : "backendError",
    `A fault that was asked for: ${status}`,
  );
}

/** A body that suffers a fault after `afterBytes` bytes; the bytes before it pass. */
export async function* suffer(
  body: AsyncIterable<Buffer>,
  fault: Fault,
  faults: Faults,
  request: IncomingMessage,
): AsyncGenerator<Buffer> {
  let passed = 0;
  let isOver = false;
  for await (const chunk of body) {
    const at = fault.afterBytes - passed;
    passed += chunk.length;
    if (isOver || at >= chunk.length || !faults.use(fault)) {
      yield chunk;
      continue;
    }
    isOver = true;
    if (fault.kind === "corrupt") {
      const changed = Buffer.from(chunk);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      yield changed;
    } else {
      yield chunk.subarray(0, at);
      // Taken only when the bytes before it have gone out.
      yield Buffer.alloc(0);
      await breakOff(fault, request);
    }
  }
}

/** Resets the connection, or keeps silent until the client has closed it. Never returns normally. */
export async function breakOff(fault: Fault, request: IncomingMessage): Promise<never> {
  const { socket } = request;
  if (fault.kind === "reset") socket.resetAndDestroy();
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  throw new StatusError("CANCELLED", "the connection was broken off by a fault that was asked for");
}
