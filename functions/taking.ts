import type { BackupFile, Instance } from "../shared/backup/backup.ts";
import { StatusError } from "../shared/error.ts";
import type { Ports, Server, ShardSource, ShardTask } from "../shared/pipeline/ports.ts";
import type { Work } from "../shared/pipeline/step.ts";

/** One shard of a lane. */
export interface Taking {
  work: Work<"shard.v1.requested">;
  instance: Instance;
  task: ShardTask;
  /** The instance as it was when this delivery first asked. */
  describe(signal: AbortSignal): Promise<Server>;
  /** Hears which node broke down while it was read. */
  onBroken(node: string): void;
  /** Hears how many bytes of this shard have passed. */
  onBytes(doneBytes: number): void;
}

/** What the object itself keeps of how its file came about: a later attempt that finds it there knows no more. */
export type Origin = Omit<ShardSource, "node"> &
  Pick<BackupFile, "snapshotStartTime" | "snapshotEndTime" | "consistency">;

/** Hears of whom the bytes are, before the first one. */
export type OnSource = (source: ShardSource) => void;

/** Begins to read, and says of whom. */
export type Open = (onSource: OnSource) => AsyncIterable<Uint8Array>;

/** The shard's bytes. Who breaks down on the way is told apart from a bucket that takes no more. */
export async function* reading(
  { work, task, onBroken }: Taking,
  { log }: Ports,
  signal: AbortSignal,
  open: Open,
  onOrigin: (origin: Omit<ShardSource, "node">) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  let source: ShardSource | undefined;
  try {
    yield* open(({ node, ...origin }) => {
      source = { ...origin, ...(node !== undefined && { node }) };
      log("INFO", "reading", { backup: work.data.backup, shard: task.shard, node, role: origin.sourceRole });
      onOrigin(origin);
    });
  } catch (error) {
    if (source === undefined || signal.aborted || !(error instanceof StatusError)) throw error;
    if (source.node !== undefined) onBroken(source.node);
    const message = `shard ${task.shard}, read from a ${source.sourceRole}: ${error.message}`;
    throw new StatusError(error.code, message, { cause: error });
  }
}
