import { StatusError } from "../../error.ts";
import type { Address } from "../address.ts";
import type { Ask } from "../connect.ts";
import { askInfo } from "../describe.ts";
import type { Info } from "../info.ts";
import { pause } from "./pause.ts";

/** How often it is asked whether the save is over, in milliseconds: at first, and at most. */
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 1_000;

/** What INFO tells of saving. */
interface SaveState {
  isSaving: boolean;
  /** Another child is at work: the AOF is rewritten, say. A save waits for it. */
  isRewriting: boolean;
  /** Saves that were begun since the server started. */
  begunCount: number;
  isOk: boolean;
  /** When a save last went well, and what the server's clock shows: seconds since 1970. */
  lastSaveTime: number;
  now: number;
}

/** A save that was ours and is over. */
export interface Save {
  isOk: boolean;
  /** The server's clock when it was asked for: seconds since 1970. */
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
  onWait: () => Promise<void> = async () => undefined,
): Promise<Save> {
  const look = async () => stateOf(await askInfo(ask, address), address);
  let before = await look();
  for (;;) {
    before = await until(look, ({ isSaving }) => !isSaving, before, signal);
    try {
      await ask("BGSAVE", ...(before.isRewriting ? ["SCHEDULE"] : []));
      break;
    } catch (error) {
      if (!(error instanceof StatusError && error.code === "ABORTED")) throw error;
      await pause(FIRST_WAIT_MS, signal);
      before = await look(); // somebody was faster
    }
  }
  const { begunCount, now } = before;
  // LASTSAVE alone proves nothing: the start of a server sets it, and two saves may lie in one second.
  const isOver = (state: SaveState) =>
    state.begunCount !== begunCount && !state.isSaving && (!state.isOk || state.lastSaveTime >= Math.floor(now));
  const watched = async () => {
    await onWait();
    return await look();
  };
  const after = await until(watched, isOver, await look(), signal);
  return { isOk: after.isOk, askTime: Math.floor(now) };
}

async function until(
  look: () => Promise<SaveState>,
  isSo: (state: SaveState) => boolean,
  first: SaveState,
  signal: AbortSignal,
): Promise<SaveState> {
  let state = first;
  for (let waitMs = FIRST_WAIT_MS; !isSo(state); waitMs = Math.min(waitMs * 1.5, LONGEST_WAIT_MS)) {
    await pause(waitMs, signal);
    state = await look();
  }
  return state;
}

function stateOf(info: Info, { endpoint }: Address): SaveState {
  if (info.get("rdb_saves") === undefined)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${endpoint} does not count its saves (rdb_saves in INFO): upgrade it to Valkey, or to Redis 7.0 or newer`,
    );
  const isOne = (name: string) => info.get(name) === "1";
  return {
    isSaving: isOne("rdb_bgsave_in_progress"),
    isRewriting: ["aof_rewrite", "module_fork", "slot_migration_fork"].some((child) => isOne(`${child}_in_progress`)),
    begunCount: info.number("rdb_saves"),
    isOk: info.get("rdb_last_bgsave_status") === "ok",
    lastSaveTime: info.number("rdb_last_save_time"),
    now: info.number("server_time_usec") / 1e6,
  };
}
