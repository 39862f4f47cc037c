import http, { type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import https from "node:https";
import { StatusError } from "../error.ts";

/** Pieces in which a body is handed to the socket: each that is taken shows that the link is alive. */
const pieceBytes = 1 << 20;

/** Connections to Cloud Storage, kept for the next request; idle ones do not keep the process alive. */
export interface Connections {
  http: http.Agent;
  https: https.Agent;
}

/** Connections that are opened as they are needed. */
export function createConnections(): Connections {
  return { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true }) };
}

/** One request, as `send` takes it. */
export interface Request {
  /** What an error calls it. */
  what: string;
  method: "GET" | "PUT" | "POST" | "DELETE";
  url: string | URL;
  headers: Record<string, string | number>;
  body?: Uint8Array | undefined;
  connections: Connections;
  /** How long nothing may move, in milliseconds, before the connection is given up. */
  stallMs: number;
  signal: AbortSignal | undefined;
  /** Bytes of the body that the socket has taken. */
  onProgress?: (bytes: number) => void;
}

/** The head of a response, and its body to be read. */
export interface Response {
  status: number;
  headers: IncomingHttpHeaders;
  /** Ends early with an error if the connection breaks or `close` is called. Whoever reads it watches for stalls. */
  body: IncomingMessage;
  /** Gives the connection up; harmless once the body has been read to its end. */
  close(): void;
}

/**
 * One HTTP request, with no retry of its own. Resolves with the head of the response, whatever its status. UNAVAILABLE:
 * nobody answers, the connection broke, or nothing moved for `stallMs`. Rejects with the signal's reason at once when
 * it is aborted.
 */
export function send(asked: Request): Promise<Response> {
  const { what, method, headers, body = new Uint8Array(), connections, stallMs, signal } = asked;
  const url = new URL(asked.url);
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const isPlain = url.protocol === "http:";
    const options = { method, headers: { ...headers, ...(method === "GET" ? {} : { "content-length": body.length }) } };
    const request = isPlain
      ? http.request(url, { ...options, agent: connections.http })
      : https.request(url, { ...options, agent: connections.https });

    let isAnswered = false;
    const stalled = setTimeout(() => request.destroy(new Error(`nothing moved for ${stallMs / 1000} s`)), stallMs);
    const aborted = () => {
      reject(signal?.reason);
      request.destroy();
    };
    signal?.addEventListener("abort", aborted, { once: true });
    request.on("close", () => {
      clearTimeout(stalled);
      signal?.removeEventListener("abort", aborted);
    });
    request.on("error", (error) => {
      reject(new StatusError("UNAVAILABLE", `${what}: the connection broke: ${error.message}`, { cause: error }));
    });
    request.on("response", (body) => {
      isAnswered = true;
      clearTimeout(stalled);
      // Whoever reads the body meets the error there; without a listener it would end the process before that.
      body.on("error", () => undefined);
      const close = () => {
        if (!body.complete || !request.writableFinished) request.destroy();
      };
      resolve({ status: body.statusCode ?? 0, headers: body.headers, body, close });
    });

    const write = (from: number): void => {
      if (from > 0) asked.onProgress?.(from);
      if (request.destroyed || isAnswered) return;
      if (from >= body.length) {
        request.end();
        return;
      }
      stalled.refresh();
      const to = Math.min(from + pieceBytes, body.length);
      request.write(body.subarray(from, to), (error) => {
        if (!error) write(to);
      });
    };
    write(0);
  });
}

/** Reads a small body to its end; the connection can be used again then. UNAVAILABLE as for `send`. */
export async function readText(response: Response, what: string, stallMs: number): Promise<string> {
  const stalled = setTimeout(() => response.body.destroy(new Error(`nothing moved for ${stallMs / 1000} s`)), stallMs);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response.body) {
      stalled.refresh();
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new StatusError("UNAVAILABLE", `${what}: the answer broke off: ${said}`, { cause: error });
  } finally {
    clearTimeout(stalled);
    response.close();
  }
  return Buffer.concat(chunks).toString();
}

/** What came of an exchange, or the failure of the link under it, which another attempt may mend. */
export async function attempted<T>(exchange: Promise<T>, signal: AbortSignal | undefined): Promise<T | StatusError> {
  try {
    return await exchange;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof StatusError && error.code === "UNAVAILABLE") return error;
    throw error;
  }
}

/** A response whose body is small, with the body read. */
export async function sendForText(asked: Request): Promise<Response & { text: string }> {
  const response = await send(asked);
  return { ...response, text: await readText(response, asked.what, asked.stallMs) };
}
