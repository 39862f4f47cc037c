import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What a running local stack tells others in `stack.json` of its directory: where everything answers. */
export interface StackFile {
  projectId: string;
  /** Cloud Storage: a URL, and the three buckets. */
  storage: { apiEndpoint: string; vaultBucket: string; inboxBucket: string; exportBucket: string };
  /** "127.0.0.1:PORT", all of them. */
  firestore: { host: string };
  pubsub: { host: string };
  scheduler: { host: string };
  /** The server to try things on, and what it really is. */
  valkey: { endpoint: string; name: string; version: string };
  /** The URL of each function. */
  functions: Record<string, string>;
  /** Of the process that started it. */
  pid: number;
}

/** Replaces `stack.json`, whole. */
export async function writeStackFile(directory: string, stack: StackFile): Promise<void> {
  const file = join(directory, "stack.json");
  await writeFile(`${file}.new`, `${JSON.stringify(stack, undefined, 2)}\n`);
  await rename(`${file}.new`, file);
}

export async function removeStackFile(directory: string): Promise<void> {
  await rm(join(directory, "stack.json"), { force: true });
}
