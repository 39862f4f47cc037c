import { createReadStream } from "node:fs";
import { newInstance } from "../../shared/backup/instance.ts";
import type { LoadResult, LoadSource, Valkey } from "../../shared/pipeline/ports.ts";

/** What to load of a file, and where to. */
export interface LoadRequest extends Pick<LoadSource, "facts" | "stretch"> {
  endpoint: string;
  mode?: "cluster";
  file: string;
  part?: number;
}

/** Loads a file, or a part of it, as the function does, from the disk. */
export function loadFile(
  valkey: Valkey,
  { endpoint, mode, file, part = 0, ...source }: LoadRequest,
): Promise<LoadResult> {
  const instance = newInstance({ id: "bench", endpoint, location: "local", mode }, "1", new Date().toISOString());
  const read = ({ start, end = Number.POSITIVE_INFINITY }: { start: number; end?: number }) =>
    createReadStream(file, { start, end: end - 1, highWaterMark: 1 << 20 });
  const options = {
    operation: "bench",
    part,
    epoch: 1,
    confirm: async () => undefined,
    replace: false,
    now: () => Date.now(),
    withFunctions: true,
  };
  return valkey.load(instance, { ...source, read }, options, new AbortController().signal);
}
