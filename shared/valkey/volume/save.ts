import { StatusError } from "../../error.ts";
import type { Address } from "../address.ts";
import type { Ask } from "../connect.ts";
import { askInfo } from "../describe.ts";
import type { Info } from "../info.ts";
import { pause } from "../pause.ts";

/** How often it is asked whether the save is over, in milliseconds: at first, and at most. */
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 1_000;
/** How long until a server that saves for somebody else is asked again. */
const BUSY_WAIT_MS = 200;

/** So long saves are waited for; what is left of a delivery has to do for reading the file. */
const PATIENCE_MS = 300_000;

/** What INFO tells of saving. */
interface SaveState {
  isSaving: boolean;
  /** Saves that were begun since the server started. */
  begunCount: number;
  isOk: boolean;
  /** When a save last went well, and what the server's clock shows: seconds since 1970. */
  lastSaveTime: number;
  now: number;
}

/** Throws UNAVAILABLE once a server has been waited for long enough. */
export type Patience = () => void;

/** Begins to wait: for so many milliseconds, 300 s where absent. */
export function patienceOf({ endpoint }: Address, patienceMs = PATIENCE_MS): Patience {
  const end = performance.now() + patienceMs;
  return () => {
    if (performance.now() <= end) return;
    const message = `${endpoint} is still saving after ${patienceMs / 1000} s: its file is taken once it is there`;
    throw new StatusError("UNAVAILABLE", message);
  };
}

/** A save that is over. */
export interface Save {
  isOk: boolean;
  /** The server's clock before it was asked for, in whole seconds since 1970. */
  askTime: number;
}

/**
 * Has the server save, and waits until that save, which began after we had asked, is over. One that is under way before is not
 * ours: it is waited for. `onWait` is called and awaited each time before the server is asked again.
 */
export async function save(
  ask: Ask,
  address: Address,
  signal: AbortSignal,
  patience: Patience,
  onWait: () => Promise<void>,
): Promise<Save> {
  const look = async () => stateOf(await askInfo(ask, address), address);
  const { begunCount, now } = await begin(ask, look, signal, patience);
  const askTime = Math.floor(now);
  // LASTSAVE alone proves nothing: the start of a server sets it, and two saves may lie in one second.
  const isOver = (state: SaveState) =>
    state.begunCount !== begunCount && !state.isSaving && (!state.isOk || state.lastSaveTime >= askTime);
  const watched = async () => {
    await onWait();
    return await look();
  };
  const { isOk } = await until(isOver, watched, signal, patience);
  return { isOk, askTime };
}

/** Waits for a save that is under way, whoever asked for it. */
export async function saved(ask: Ask, address: Address, signal: AbortSignal, patience: Patience): Promise<void> {
  const look = async () => stateOf(await askInfo(ask, address), address);
  await until(({ isSaving }) => !isSaving, look, signal, patience);
}

async function until(
  isSo: (state: SaveState) => boolean,
  look: () => Promise<SaveState>,
  signal: AbortSignal,
  patience: Patience,
): Promise<SaveState> {
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 1.5, LONGEST_WAIT_MS)) {
    const state = await look();
    if (isSo(state)) return state;
    patience();
    await pause(waitMs, signal);
  }
}

/** Answers the state before the save that it asked for. */
async function begin(
  ask: Ask,
  look: () => Promise<SaveState>,
  signal: AbortSignal,
  patience: Patience,
): Promise<SaveState> {
  for (;;) {
    const before = await look();
    try {
      // While the AOF is rewritten, the server begins it as soon as that is over.
      await ask("BGSAVE", "SCHEDULE");
      return before;
    } catch (error) {
      if (!(error instanceof StatusError && error.code === "ABORTED")) throw error;
      patience();
      await pause(BUSY_WAIT_MS, signal); // it is saving already
    }
  }
}

function stateOf(info: Info, { endpoint }: Address): SaveState {
  if (info.get("rdb_saves") === undefined)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${endpoint} does not count its saves (rdb_saves in INFO): upgrade it to Valkey, or to Redis 7.0 or newer`,
    );
  return {
    isSaving: info.get("rdb_bgsave_in_progress") === "1",
    begunCount: info.number("rdb_saves"),
    isOk: info.get("rdb_last_bgsave_status") === "ok",
    lastSaveTime: info.number("rdb_last_save_time"),
    now: info.number("server_time_usec") / 1e6,
  };
}
