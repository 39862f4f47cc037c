import type { RdbFacts } from "./backup.ts";
import { type Finding, fail, pass, unknown, warn } from "./check.ts";
import type { Target } from "./target.ts";

/** Whether the target has room. Without `maxmemory` only the machine's memory bounds it, and others use that too: a warning. */
export function checkMemory(files: readonly RdbFacts[], target: Target): Finding {
  const { needed, text } = demandOf(files);
  const { maxMemoryBytes, usedMemoryBytes, systemMemoryBytes, evenRoomBytes = Number.POSITIVE_INFINITY } = target;
  // Keys do not spread evenly, so this refuses nothing.
  const isShort = needed > evenRoomBytes;
  const uneven = `; one node of the target would be full after ${evenRoomBytes} bytes, with the keys spread evenly over the slots`;
  if (maxMemoryBytes > 0) {
    const free = Math.max(0, maxMemoryBytes - usedMemoryBytes);
    const message = `${text} of memory are needed, ${free} are free under maxmemory ${maxMemoryBytes}`;
    if (needed > free) return fail(message);
    return isShort ? warn(`${message}${uneven}`) : pass(message);
  }
  if (systemMemoryBytes === undefined)
    return unknown(`${text} of memory are needed, the target tells neither maxmemory nor its machine's memory`);
  const free = Math.max(0, systemMemoryBytes - usedMemoryBytes);
  const message = `${text} of memory are needed, the target sets no maxmemory and its machine has ${systemMemoryBytes}`;
  if (isShort) return warn(`${message}${uneven}`);
  return needed <= free ? pass(message) : warn(message);
}

/**
 * Whether the target would drop keys while they are loaded: at `maxmemory` a policy other than noeviction makes room
 * without a word, and what verification then misses was never reported.
 */
export function checkEviction(files: readonly RdbFacts[], target: Target): Finding {
  const { maxMemoryBytes, usedMemoryBytes, maxMemoryPolicy, evenRoomBytes = Number.POSITIVE_INFINITY } = target;
  if (maxMemoryBytes === 0 && evenRoomBytes === Number.POSITIVE_INFINITY)
    return pass("the target sets no maxmemory, so it evicts nothing");
  if (maxMemoryPolicy === undefined) return unknown("the target does not tell its maxmemory-policy");
  if (maxMemoryPolicy === "noeviction") return pass("maxmemory-policy is noeviction");
  const expires = files.reduce((total, file) => total + file.expires, 0);
  if (maxMemoryPolicy.startsWith("volatile-") && expires === 0)
    return pass(`maxmemory-policy ${maxMemoryPolicy} drops only keys with an expiry, the files hold none`);
  const { needed, text } = demandOf(files);
  const free = maxMemoryBytes === 0 ? evenRoomBytes : Math.max(0, maxMemoryBytes - usedMemoryBytes);
  const room = Math.min(free, evenRoomBytes);
  const message = `maxmemory-policy ${maxMemoryPolicy} drops keys once memory is short: ${text} are needed, ${room} are free`;
  return maxMemoryBytes === 0 || needed <= free
    ? warn(message)
    : fail(`${message}; raise maxmemory, or set noeviction until it is restored`);
}

/** What the files' servers used; a file that does not tell takes at least its own size. */
function demandOf(files: readonly RdbFacts[]): { needed: number; text: string } {
  const needed = files.reduce((total, file) => total + (file.usedMemoryBytes ?? file.sizeBytes), 0);
  const isKnown = files.every(({ usedMemoryBytes }) => usedMemoryBytes !== undefined);
  return { needed, text: `${isKnown ? "about" : "at least"} ${needed} bytes` };
}
