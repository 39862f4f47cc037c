import { StatusError } from "../error.ts";

/** The file is not what it claims to be, at this byte: nothing but another copy of it helps. */
export function damaged(what: string, offset: number): StatusError {
  return new StatusError("DATA_LOSS", `RDB file damaged at byte ${offset}: ${what}`, { offset });
}

/** The file may be whole, but this byte begins something that this reader does not know, and it never guesses. */
export function unsupported(what: string, offset: number): StatusError {
  return new StatusError("UNIMPLEMENTED", `RDB file not supported, at byte ${offset}: ${what}`, { offset });
}
