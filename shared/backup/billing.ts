import type { Backup } from "./backup.ts";
import { day } from "./duration.ts";

/** Memorystore for Valkey bills a managed backup for at least so long, in seconds (its overview of backups, "Pricing"). */
const billedAtLeast = day;

/** What to say of a backup that ends before Memorystore would stop billing it; `undefined` where it lives for that long. */
export function shortLife({ createTime }: Pick<Backup, "createTime">, endTime: string): string | undefined {
  const seconds = Math.max(0, (Date.parse(endTime) - Date.parse(createTime)) / 1000);
  if (seconds >= billedAtLeast) return undefined;
  const hours = Math.floor(seconds / 3600);
  return `it lives ${hours === 0 ? "less than an hour" : `${hours} h`}, and Memorystore bills a managed backup for at least 24 h`;
}
