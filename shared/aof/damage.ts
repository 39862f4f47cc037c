import { StatusError } from "../error.ts";

/** The file is not what it claims to be, at this byte: what stands behind it cannot be told apart any more. */
export function damaged(what: string, offset: number): StatusError {
  return new StatusError("DATA_LOSS", `AOF damaged at byte ${offset}: ${what}`, { offset });
}
