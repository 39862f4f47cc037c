import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Storage } from "@google-cloud/storage";
import { crc32c } from "@node-rs/crc32";
import type { Publish } from "../../infra/local/storage/outbox.ts";
import { startStorage } from "../../infra/local/storage/server.ts";

export const kib256 = 256 * 1024;

/** A storage server in this process with a folder of its own. Leaving its scope stops it and removes the folder. */
export interface Harness extends AsyncDisposable {
  readonly directory: string;
  readonly url: string;
  /** Google's own client; it does not retry, so that each test sees every answer. */
  readonly client: Storage;
  /** Stops the server and starts it again on the same folder. */
  restart(): Promise<void>;
}

/** Starts a server with one bucket, `bucket`. */
export async function harness(options: { publish?: Publish; now?: () => Date } = {}): Promise<Harness> {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-storage-"));
  const start = () => startStorage({ directory, port: 0, host: "127.0.0.1", projectId: "test", ...options });
  let server = await start();
  const harness: Harness = {
    directory,
    get url() {
      return server.url;
    },
    get client() {
      return clientOf(server.url);
    },
    async restart() {
      await server.close();
      server = await start();
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
  await harness.client.createBucket("bucket");
  return harness;
}

export function clientOf(url: string): Storage {
  return new Storage({ apiEndpoint: url, projectId: "test", retryOptions: { autoRetry: false } });
}

export function crc32cOf(bytes: Buffer): string {
  const encoded = Buffer.alloc(4);
  encoded.writeUInt32BE(crc32c(bytes));
  return encoded.toString("base64");
}

export function someBytes(size: number): Buffer {
  return randomBytes(size);
}

export interface Answer {
  status: number;
  headers: Headers;
  body: Buffer;
  /** The body as JSON; undefined if it is empty. */
  json: Record<string, unknown>;
}

/** One plain HTTP request, for what the client library cannot send. */
export async function send(
  url: string,
  method = "GET",
  options: { headers?: Record<string, string>; body?: Buffer | string | object } = {},
): Promise<Answer> {
  const { headers = {}, body } = options;
  const isJson = typeof body === "object" && !Buffer.isBuffer(body);
  const answer = await fetch(url, {
    method,
    headers: isJson ? { "content-type": "application/json", ...headers } : headers,
    ...(body !== undefined && { body: isJson ? JSON.stringify(body) : body }),
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  const isAnswerJson = answer.headers.get("content-type")?.startsWith("application/json") && bytes.length > 0;
  const json = isAnswerJson ? (JSON.parse(bytes.toString()) as Record<string, unknown>) : {};
  return { status: answer.status, headers: answer.headers, body: bytes, json };
}

/** Begins a resumable session and answers its URI. */
export async function begin(url: string, name: string, query = "", metadata: object = {}): Promise<string> {
  const path = `/upload/storage/v1/b/bucket/o?uploadType=resumable&name=${encodeURIComponent(name)}${query}`;
  const { status, headers, body } = await send(url + path, "POST", { body: metadata });
  const location = headers.get("location");
  if (status !== 200 || location === null) throw new Error(`${status} ${body}`);
  return location;
}

/** Sends one chunk; `range` is the Content-Range without its unit. */
export function put(uri: string, range: string, body?: Buffer, headers: Record<string, string> = {}): Promise<Answer> {
  const options = { headers: { "content-range": `bytes ${range}`, ...headers } };
  return send(uri, "PUT", body === undefined ? options : { ...options, body });
}

/** A multipart/related upload as a client would send it. */
export function multipart(
  url: string,
  name: string,
  bytes: Buffer,
  query = "",
  metadata: object = {},
): Promise<Answer> {
  const head = `--cut\r\nContent-Type: application/json\r\n\r\n${JSON.stringify({ name, ...metadata })}\r\n--cut\r\nContent-Type: text/plain\r\n\r\n`;
  return send(`${url}/upload/storage/v1/b/bucket/o?uploadType=multipart${query}`, "POST", {
    headers: { "content-type": "multipart/related; boundary=cut" },
    body: Buffer.concat([Buffer.from(head), bytes, Buffer.from("\r\n--cut--")]),
  });
}

export const objectUrl = (url: string, name: string, query = "") =>
  `${url}/storage/v1/b/bucket/o/${encodeURIComponent(name)}${query}`;

/** The reason in Google's error form. */
export function reasonOf({ json }: Answer): string | undefined {
  const { error } = json as { error?: { errors?: { reason?: string }[] } };
  return error?.errors?.[0]?.reason;
}

/** The message in Google's error form. */
export function messageOf({ json }: Answer): string {
  return String((json as { error?: { message?: string } }).error?.message);
}
