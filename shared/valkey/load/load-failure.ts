import { StatusError } from "../../error.ts";
import type { Server } from "../../pipeline/ports.ts";
import type { Magic } from "../../rdb/family.ts";
import { valueTypes } from "../../rdb/types.ts";
import type { Address } from "../address.ts";
import { replyFailure } from "../failure.ts";

/** What the commands of a load are, beside RESTOREs of a type (0 and up). */
export const kind = { select: -1, functionLoad: -2 } as const;

/** An error reply to one command of a load, as an operator's error. Names no key and no library. */
export function loadFailure(
  address: Address,
  server: Server,
  { magic, rdbVersion }: { magic: Magic; rdbVersion: number },
  commandKind: number,
  text: string,
): StatusError {
  const refuse = (message: string) => new StatusError("FAILED_PRECONDITION", `${address.endpoint} ${message}`);
  if (text.startsWith("OOM")) {
    const limit = `maxmemory ${server.maxMemoryBytes}`;
    return refuse(`ran out of memory at ${limit}: raise it, or restore into a larger instance`);
  }
  if (commandKind === kind.select && text.startsWith("ERR")) {
    return refuse(
      "lacks a database that the file fills: raise `databases`, or restore into a server without cluster mode",
    );
  }
  if (commandKind === kind.functionLoad && text.startsWith("ERR")) {
    return /already exists/.test(text)
      ? refuse("has a function of the file already: someone else writes there; stop them, FUNCTION FLUSH")
      : refuse(`(${server.product} ${server.version}) does not take a function library of the file`);
  }
  if (/^ERR (Bad data format|DUMP payload version)/.test(text)) {
    const { name, minimumRdbVersion } = valueTypes[magic][commandKind] ?? {
      name: "unknown",
      minimumRdbVersion: rdbVersion,
    };
    return refuse(
      `(${server.product} ${server.version}, RDB ${server.rdbVersion}) does not take a ${name} of type ${commandKind} ` +
        `from a ${magic} file of RDB ${rdbVersion}, which needs RDB ${minimumRdbVersion}: restore into a newer server`,
    );
  }
  if (text.startsWith("READONLY"))
    return new StatusError("UNAVAILABLE", `${address.endpoint} has become a replica while it was loaded`);
  if (/^ERR Protocol error/.test(text)) return refuse("takes no bulk of that size: raise proto-max-bulk-len");
  const command =
    commandKind === kind.select ? "SELECT" : commandKind === kind.functionLoad ? "FUNCTION LOAD" : "RESTORE";
  return replyFailure(address, command, text);
}
