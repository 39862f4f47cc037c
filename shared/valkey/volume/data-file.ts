import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { StatusError } from "../../error.ts";
import { type Origin, originBytes, originOf } from "../../rdb/origin.ts";
import { pause } from "../pause.ts";
import { directoryFailure, readFailure } from "./file-failure.ts";

/** One read: large, so that it costs little beside what is done with its bytes. */
const PIECE_BYTES = 1024 * 1024;

/** A mount over a network may show for so long what was there before. */
const SETTLING_MS = 10_000;

/** One state of the file: a save puts another file in its place. */
export interface FileState {
  path: string;
  inode: number;
  modifyTimeMs: number;
  sizeBytes: number;
  /** The user whose file it is: the server's. */
  uid: number;
}

/** The file as it is now; nothing where there is none. FAILED_PRECONDITION: the directory or the file cannot be read, or is no such thing. */
export async function lookAt(directory: string, fileName: string): Promise<FileState | undefined> {
  const path = join(directory, fileName);
  const folder = await stat(directory).catch((error) => {
    throw directoryFailure(directory, error);
  });
  if (!folder.isDirectory()) throw directoryFailure(directory, { code: "ENOTDIR" });
  const file = await openFile(path);
  if (file === undefined) return undefined;
  try {
    const { isFile, ...state } = await stateOf(path, file);
    if (!isFile) throw readFailure(path, { code: "EISDIR" });
    return state;
  } finally {
    await file.close();
  }
}

/** A file that was opened once: whatever takes its place under its name, these bytes stay. */
export interface OpenedFile {
  state: FileState;
  origin: Origin;
  /** All of it. A chunk is valid until the next one is asked for. Closes the file. UNAVAILABLE: it cannot be read to its end. */
  read(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
  close(): Promise<void>;
}

/**
 * Opens the file once it is another one than `before` and `isWanted`; for so long as a mount may lag behind. `undefined`: it
 * did not become so.
 */
export async function openFresh(
  path: string,
  before: FileState | undefined,
  isWanted: (origin: Origin) => boolean,
  signal: AbortSignal,
  settlingMs: number = SETTLING_MS,
): Promise<OpenedFile | undefined> {
  const end = performance.now() + settlingMs;
  for (;;) {
    const file = await openFile(path);
    const opened = file && (await openedIf(path, file, before, isWanted));
    if (opened !== undefined || performance.now() >= end) return opened;
    await pause(Math.min(500, settlingMs), signal);
  }
}

const isOther = (state: FileState, before: FileState | undefined): boolean =>
  before === undefined ||
  state.inode !== before.inode ||
  state.modifyTimeMs !== before.modifyTimeMs ||
  state.sizeBytes !== before.sizeBytes;

async function openedIf(
  path: string,
  file: FileHandle,
  before: FileState | undefined,
  isWanted: (origin: Origin) => boolean,
): Promise<OpenedFile | undefined> {
  let opened: OpenedFile | undefined;
  try {
    const { isFile, ...state } = await stateOf(path, file);
    const origin = isFile && isOther(state, before) ? await originIn(file) : undefined;
    if (origin !== undefined && isWanted(origin))
      opened = { state, origin, read: (signal) => piecesOf(file, state, signal), close: () => file.close() };
    return opened;
  } catch (error) {
    throw error instanceof StatusError ? error : readFailure(path, error);
  } finally {
    if (opened === undefined) await file.close();
  }
}

/** Nothing where it is no RDB file: somebody else's, or one that this mount does not show yet. */
async function originIn(file: FileHandle): Promise<Origin | undefined> {
  const head = Buffer.alloc(originBytes);
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  try {
    return originOf(head.subarray(0, bytesRead));
  } catch (error) {
    if (error instanceof StatusError && error.code === "DATA_LOSS") return undefined;
    throw error;
  }
}

async function* piecesOf(
  file: FileHandle,
  { path, sizeBytes }: FileState,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
  try {
    for (let at = 0; at < sizeBytes; ) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) throw readFailure(path, { code: `it ended at ${at} of ${sizeBytes} bytes` });
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    signal.throwIfAborted();
  } catch (error) {
    throw error instanceof StatusError || signal.aborted ? error : readFailure(path, error);
  } finally {
    await file.close();
  }
}

/** Does not wait, as opening a pipe would, until somebody writes into it. */
async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw readFailure(path, error);
  }
}

async function stateOf(path: string, file: FileHandle): Promise<FileState & { isFile: boolean }> {
  const found = await file.stat();
  return {
    path,
    inode: found.ino,
    modifyTimeMs: found.mtimeMs,
    sizeBytes: found.size,
    uid: found.uid,
    isFile: found.isFile(),
  };
}
