import type { RdbSummary } from "./summary.ts";

/** What is worth keeping of a file that was read: its summary, and the memory its server used, without the server's other remarks. */
export function factsOf({ aux, hasSlotInfo: _, slots: _slots, ...facts }: RdbSummary) {
  const usedMemoryBytes = Number(aux["used-mem"] ?? Number.NaN);
  return { ...facts, ...(Number.isSafeInteger(usedMemoryBytes) && { usedMemoryBytes }) };
}
