import type { Address } from "./address.ts";
import { replyFailure } from "./failure.ts";
import type { Info } from "./info.ts";

/**
 * UNAVAILABLE: a replica that has lost its primary. What it holds may be long past; PSYNC it refuses by itself, and goes on answering
 * everything else (replica-serve-stale-data).
 */
export function requirePrimaryLink(info: Info, address: Address): void {
  if (info.get("role") === "slave" && info.get("master_link_status") !== "up")
    throw replyFailure(address, "INFO", "NOMASTERLINK");
}
