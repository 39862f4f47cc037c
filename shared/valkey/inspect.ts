import { type Inspection, inspectedSettings } from "../backup/health.ts";
import type { Address } from "./address.ts";
import { withClient } from "./connect.ts";
import { askInfo, setting } from "./describe.ts";

/** What a node tells of its health. Where the ACL or a managed service keeps CONFIG from us, the settings are absent. */
export function inspect(address: Address, signal: AbortSignal): Promise<Inspection> {
  return withClient(address, signal, async (ask) => {
    const info = await askInfo(ask, address);
    // One by one: only from 7.0 on CONFIG GET takes several names.
    const pairs = await Promise.all(inspectedSettings.map(async (name) => [name, await setting(ask, name)] as const));
    const config = Object.fromEntries(pairs.filter(([, value]) => value !== undefined));
    return { endpoint: address.endpoint, info: info.fields, config };
  });
}
