import { readdirSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { StatusError } from "../../../shared/error.ts";
import { type Reply, readJsonBody, type Storage } from "./call.ts";
import { Catalogue } from "./catalogue.ts";
import { type Disk, openDisk } from "./disk.ts";
import { asApiError, errorBody } from "./error.ts";
import { breakOff, type Fault, Faults, faultError, suffer } from "./fault.ts";
import { objectResource } from "./object.ts";
import { Outbox, type Publish } from "./outbox.ts";
import { respond } from "./respond.ts";
import { Rewrites } from "./rewrite.ts";
import { findRoute } from "./route.ts";
import { Sessions } from "./session.ts";
import { refuseUnsupported } from "./unsupported.ts";

/** How a server is started. */
export interface StorageOptions {
  /** Where everything is kept; see disk.ts. One server at a time may use it. */
  directory: string;
  /** 0 takes a free one. */
  port: number;
  host: "127.0.0.1";
  /** The project whose buckets these are. */
  projectId: string;
  /** Takes notifications; without it none are sent, and they wait on disk. */
  publish?: Publish;
  now?: () => Date;
}

/** A running server. */
export interface StorageServer {
  url: string;
  port: number;
  /** Ends every connection and stops; what was received and not finished can be resumed after the next start. */
  close(): Promise<void>;
}

/** Answers that are under way get this long when the server is closed. */
const graceMs = 500;

/** Starts a Cloud Storage of our own: the part of the JSON API that `@google-cloud/storage` uses, on files. */
export async function startStorage(options: StorageOptions): Promise<StorageServer> {
  const { directory, port, host, publish = waitForEver, now = () => new Date() } = options;
  let storage: Storage;
  const faults = new Faults();
  const running = new Set<Promise<void>>();
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 120_000, noDelay: true }, (request, response) => {
    const handled = handle(storage, faults, request, response).finally(() => running.delete(handled));
    running.add(handled);
  });
  // First the port, then the files: a second server that was started by mistake touches nothing. No request comes
  // between, as opening does not wait for anything.
  await listen(server, port, host);
  const address = server.address() as AddressInfo;
  const url = `http://${host}:${address.port}`;
  try {
    const disk = openDisk(directory);
    const outbox = new Outbox(disk.folders.outbox, publish, now);
    storage = open(options.projectId, disk, outbox, now, url);
    outbox.resume((letter) => storage.catalogue.happened(letter));
    return { url, port: address.port, close: () => close(server, running, outbox) };
  } catch (error) {
    server.close();
    throw error;
  }
}

/** Without a publisher, letters wait for a start with one. */
function waitForEver(): Promise<void> {
  return new Promise(() => {});
}

function open(projectId: string, disk: Disk, outbox: Outbox, now: () => Date, baseUrl: string): Storage {
  const catalogue = new Catalogue(disk, outbox, now, baseUrl);
  const made = new Map([...catalogue.objects()].map((object) => [object.bytes, object]));
  const sessions = new Sessions(disk, now, (id) => {
    const object = made.get(id);
    return object && objectResource(object, catalogue.bucket(object.bucket), baseUrl);
  });
  const rewrites = new Rewrites(disk, now);
  const used = new Set([...made.keys(), ...sessions.bytes(), ...rewrites.bytes()]);
  for (const id of readdirSync(disk.folders.bytes)) if (!used.has(id)) rmSync(disk.bytes(id));
  return { projectId, disk, catalogue, sessions, rewrites, now, baseUrl };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const message = `cannot listen on ${host}:${port}: ${cause.message}; stop what uses it or choose another port`;
      reject(new StatusError("UNAVAILABLE", message, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

async function close(server: Server, running: Set<Promise<void>>, outbox: Outbox): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  server.closeIdleConnections();
  await closed;
  clearTimeout(timer);
  await Promise.all(running);
  await outbox.close();
}

/** Answers one request; nothing it meets ends the server. */
async function handle(
  storage: Storage,
  faults: Faults,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    await respond(response, await answer(storage, faults, request));
  } catch (error) {
    if (response.headersSent || request.socket.destroyed) response.destroy();
    else await refuse(request, response, error);
  } finally {
    // What a refused client is still sending is read and dropped, or it would never look at the answer.
    request.resume();
  }
}

async function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): Promise<void> {
  const refusal = asApiError(error);
  if (refusal.status === 500) console.error(`storage: ${request.method} ${request.url}: ${String(error)}`);
  await respond(response, { status: refusal.status, json: errorBody(refusal) });
}

async function answer(storage: Storage, faults: Faults, request: IncomingMessage): Promise<Reply> {
  const { method = "", url = "", headers } = request;
  const [path = "", search = ""] = splitUrl(url);
  const plain: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
  if (path === "/_faults") return administer(faults, method, plain);
  const query = new URLSearchParams(search);
  const isMedia = method === "GET" && (path.startsWith("/download/") || query.get("alt") === "media");
  const fault = faults.find({ method, url, isUpload: path.startsWith("/upload/"), isMedia });
  if (fault !== undefined) await strikeAtOnce(fault, faults, request);
  refuseUnsupported(query, headers);
  const { handler, params } = findRoute(method, path);
  const hit = (bytes: AsyncIterable<Buffer>) => (fault === undefined ? bytes : suffer(bytes, fault, faults, request));
  const reply = await handler(storage, { method, params, query, request, body: isMedia ? plain : hit(plain) });
  return isMedia && reply.body !== undefined ? { ...reply, body: hit(reply.body) } : reply;
}

function splitUrl(url: string): [path: string, search: string] {
  const at = url.indexOf("?");
  return at < 0 ? [url, ""] : [url.slice(0, at), url.slice(at + 1)];
}

/** Faults that need no body: an error status, and a connection that breaks off before its first byte. */
async function strikeAtOnce(fault: Fault, faults: Faults, request: IncomingMessage): Promise<void> {
  if (fault.kind === "status" && faults.use(fault)) throw faultError(fault);
  if (fault.kind !== "corrupt" && fault.afterBytes === 0 && faults.use(fault)) await breakOff(fault, request);
}

/** `/_faults`: GET shows what is armed, POST arms one fault, DELETE disarms all. */
async function administer(faults: Faults, method: string, body: AsyncIterable<Buffer>): Promise<Reply> {
  if (method === "POST") return { status: 200, json: faults.arm(await readJsonBody(body)) };
  if (method === "DELETE") faults.clear();
  return { status: 200, json: faults.armed() };
}
