import type { Ids } from "../pipeline/ports.ts";

/** UUIDs that count up from 1: the same run makes the same ids. */
export function createSequentialIds(): Ids {
  let last = 0;
  return {
    uuid() {
      last += 1;
      return `00000000-0000-4000-8000-${last.toString(16).padStart(12, "0")}`;
    },
  };
}
