import type { Instance } from "../../../shared/backup/backup.ts";
import { asStatusError } from "../../../shared/error.ts";
import { addressOf, type ResolveSecret } from "../../../shared/valkey/address.ts";
import { withClient } from "../../../shared/valkey/connect.ts";
import { lookAt } from "../../../shared/valkey/volume/data-file.ts";
import { placeOf } from "../../../shared/valkey/volume/save-and-read.ts";
import { deniedOf } from "./permissions.ts";

/** What snapshots by way of the volume meet, as far as it can be told without a BGSAVE. */
export interface VolumeFound {
  /** Commands that the ACL denies; `undefined`: it does not let us ask. */
  denied: string[] | undefined;
  /** Where the server keeps its file, as far as it tells. */
  serverFile: string;
  /** What hinders reading the file where this runs, which may be another machine than the functions'; nothing: it is there. */
  hindrance: string | undefined;
}

/** Asks the server, and looks at the data directory as if it were mounted here. Saves nothing. */
export async function lookAtVolume(
  instance: Instance,
  resolveSecret: ResolveSecret,
  signal: AbortSignal,
): Promise<VolumeFound> {
  const address = await addressOf(instance, resolveSecret);
  const { dataDirectory = "" } = instance;
  return await withClient(address, signal, async (ask) => {
    const denied = await deniedOf(ask, address.user, [["INFO"], ["BGSAVE"]]);
    const { directory, fileName } = await placeOf(ask, address);
    const hindrance = await lookAt(dataDirectory, fileName).then(
      (file) => (file === undefined ? `there is no ${fileName} in ${dataDirectory} yet` : undefined),
      (error) => asStatusError(error).message,
    );
    const serverFile =
      directory === undefined ? `${fileName} in a directory that +config|get would tell` : `${directory}/${fileName}`;
    return { denied, serverFile, hindrance };
  });
}
