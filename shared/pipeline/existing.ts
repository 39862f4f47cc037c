import type { Backup } from "../backup/backup.ts";
import { StatusError } from "../error.ts";
import type { Change } from "./change.ts";

/** The backup of this name; NOT_FOUND where there is none. */
export async function existing(change: Change, backup: string): Promise<Backup> {
  const found = await change.read<Backup>(backup);
  if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${backup}`);
  return found;
}
