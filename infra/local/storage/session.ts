import { existsSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { crc32cOfFile, type ExpectedChecksums } from "./checksum.ts";
import { type Disk, jsonFiles, newId, readJson, writeJson } from "./disk.ts";
import { ApiError } from "./error.ts";
import type { ObjectSettings } from "./object.ts";
import type { Preconditions } from "./precondition.ts";
import type { Progress } from "./receive.ts";

/** A session lives a week (https://cloud.google.com/storage/docs/resumable-uploads#session-uris). */
const lifetimeMs = 7 * 24 * 3600 * 1000;

/** Chunks are cut, and an interrupted one is kept, in multiples of 256 KiB. */
export const quantum = 256 * 1024;

/** An object on its way in: where it shall be, what is known of it, and what must hold when it appears. */
export interface Upload {
  bucket: string;
  name: string;
  settings: ObjectSettings;
  expected: ExpectedChecksums[];
  preconditions: Preconditions;
}

/** How a session ended. The same answer is given again to whoever asks later. */
export type Outcome = { resource: object } | { status: number; reason: string; message: string };

/** A resumable upload as its file on disk has it. */
export interface StoredSession extends Upload {
  /** Also the id of the bytes, and so of the finished object's. */
  id: string;
  /** What `X-Upload-Content-Length` announced. */
  announcedBytes?: number;
  createTime: string;
  outcome?: Outcome;
}

/** A session in use. */
export interface Session {
  stored: StoredSession;
  /** Bytes that are kept: where the next chunk starts. */
  received: number;
  /** The CRC32C of as many of them as have been looked at. */
  checked: Progress;
  /** The request that is writing now. */
  active?: { stop: () => void; ended: Promise<void> };
}

/** All resumable sessions. They outlive the process: what is in the file is what has been received. */
export class Sessions {
  readonly #disk: Disk;
  readonly #now: () => Date;
  readonly #sessions = new Map<string, Session>();

  /** `finished` finds the resource of the object that was made from a session's bytes, if there is one. */
  constructor(disk: Disk, now: () => Date, finished: (id: string) => object | undefined) {
    this.#disk = disk;
    this.#now = now;
    for (const path of jsonFiles(disk.folders.uploads)) this.#load(readJson<StoredSession>(path), finished);
  }

  #load(stored: StoredSession, finished: (id: string) => object | undefined): void {
    const session: Session = { stored, received: 0, checked: { position: 0, crc: 0 } };
    this.#sessions.set(stored.id, session);
    const resource = finished(stored.id);
    const isLost = stored.outcome === undefined && resource === undefined && !existsSync(this.#disk.bytes(stored.id));
    if (isLost || this.#hasExpired(stored)) this.drop(session);
    else if (stored.outcome === undefined && resource !== undefined) this.end(session, { resource });
    else if (stored.outcome === undefined) this.keep(session, wholeQuanta(statSync(this.#disk.bytes(stored.id)).size));
  }

  #hasExpired({ createTime }: StoredSession): boolean {
    return this.#now().getTime() - Date.parse(createTime) > lifetimeMs;
  }

  /** Ids of the bytes that unfinished sessions hold. */
  *bytes(): Iterable<string> {
    for (const { stored } of this.#sessions.values()) if (stored.outcome === undefined) yield stored.id;
  }

  /** A new session, on disk before its id is given away. */
  start(upload: Upload, announcedBytes: number | undefined): Session {
    const id = newId();
    const createTime = this.#now().toISOString();
    const stored = { ...upload, id, createTime, ...(announcedBytes === undefined ? {} : { announcedBytes }) };
    writeFileSync(this.#disk.bytes(id), "");
    writeJson(this.#disk.upload(id), stored);
    const session: Session = { stored, received: 0, checked: { position: 0, crc: 0 } };
    this.#sessions.set(id, session);
    return session;
  }

  /** The session of that id, or 404: unknown, cancelled or older than a week. */
  get(id: string): Session {
    const session = this.#sessions.get(id);
    if (session !== undefined && !this.#hasExpired(session.stored)) return session;
    throw new ApiError(404, "notFound", "No such upload session; start a new upload");
  }

  /**
   * Waits until the session is the caller's alone, and answers how to give it back. A request that still writes is
   * stopped: its client is gone, or it would not have asked again.
   */
  async claim(session: Session, stop: () => void): Promise<() => void> {
    while (session.active !== undefined) {
      session.active.stop();
      await session.active.ended;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    session.active = { stop, ended: promise };
    return () => {
      delete session.active;
      resolve();
    };
  }

  /** Keeps that many bytes and lets go of what came after them. */
  keep(session: Session, bytes: number): void {
    truncateSync(this.#disk.bytes(session.stored.id), bytes);
    session.received = bytes;
    if (session.checked.position > bytes) session.checked = { position: 0, crc: 0 };
  }

  /** The CRC32C of all that has been received; it reads what it has not seen, after a restart or an interruption. */
  async check(session: Session): Promise<Progress> {
    const { position, crc } = session.checked;
    const path = this.#disk.bytes(session.stored.id);
    session.checked = { position: session.received, crc: await crc32cOfFile(path, crc, position, session.received) };
    return session.checked;
  }

  /** Writes down how a session ended. */
  end(session: Session, outcome: Outcome): void {
    session.stored = { ...session.stored, outcome };
    writeJson(this.#disk.upload(session.stored.id), session.stored);
    if (!("resource" in outcome)) rmSync(this.#disk.bytes(session.stored.id), { force: true });
  }

  /** Forgets a session, and its bytes unless an object was made of them. */
  drop({ stored }: Session): void {
    this.#sessions.delete(stored.id);
    if (stored.outcome === undefined) rmSync(this.#disk.bytes(stored.id), { force: true });
    rmSync(this.#disk.upload(stored.id));
  }
}

/** The bytes of an interrupted chunk that are kept. */
export function wholeQuanta(bytes: number): number {
  return bytes - (bytes % quantum);
}
