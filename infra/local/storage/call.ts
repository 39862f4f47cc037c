import type { IncomingMessage } from "node:http";
import type { Catalogue } from "./catalogue.ts";
import type { Disk } from "./disk.ts";
import { invalid } from "./error.ts";
import type { Rewrites } from "./rewrite.ts";
import type { Sessions } from "./session.ts";

/** What every request is answered from. */
export interface Storage {
  projectId: string;
  disk: Disk;
  catalogue: Catalogue;
  sessions: Sessions;
  rewrites: Rewrites;
  now: () => Date;
  /** This server's address. */
  baseUrl: string;
}

/** One request, taken apart. */
export interface Call {
  method: string;
  /** The names in the path, decoded: `bucket`, `object` and whatever else the route calls its places. */
  params: Record<string, string>;
  query: URLSearchParams;
  request: IncomingMessage;
  /** The body, with the faults in it that a test armed. */
  body: AsyncIterable<Buffer>;
}

/** An answer: JSON, or bytes of which at most the two newest chunks are looked at. */
export interface Reply {
  status: number;
  headers?: Record<string, string>;
  json?: unknown;
  body?: AsyncIterable<Buffer>;
}

/** The largest JSON body: object metadata is limited to 8 KiB, a compose request to 32 names of 1 KiB. */
const largestJsonBytes = 1 << 20;

/** Reads a whole, small body as JSON; an empty one is undefined. */
export async function readJsonBody(body: AsyncIterable<Buffer>): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > largestJsonBytes) throw invalid(`The JSON body is larger than ${largestJsonBytes} bytes`);
    chunks.push(chunk);
  }
  return parseJson(Buffer.concat(chunks).toString());
}

/** Parses JSON from a client, or answers 400. */
export function parseJson(text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(`The body is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

/** A part of the path that the route promises. */
export function param(call: Call, name: string): string {
  const value = call.params[name];
  if (value === undefined) throw invalid(`Required path parameter ${name} is missing`);
  return value;
}
