export interface ObjectInfo {
  bucket: string;
  object: string;
  generation: string;
  sizeBytes: number;
  /** Base64, big-endian. */
  crc32c: string;
  createTime: string;
  /** Ours: `operation`, `shard`. */
  metadata: Record<string, string>;
  /**
   * Until when a retention policy keeps it, RFC 3339 with milliseconds; it may have passed. Absent: there is none, or an
   * event-based hold has stopped its clock.
   */
  retentionExpirationTime?: string;
  /** A temporary or an event-based hold keeps it, nobody knows until when. Absent: none does. */
  isHeld?: true;
}

export interface BucketInfo {
  location: string;
  locationType: "region" | "dual-region" | "multi-region";
  protection: BucketProtection;
}

/** What keeps a bucket's objects from strangers and from mistakes. */
export interface BucketProtection {
  /** `enforced`: nobody can make anything in it public. */
  publicAccessPrevention: "enforced" | "inherited";
  /** Access is told by IAM alone, not by lists on single objects. */
  uniformBucketLevelAccess: boolean;
  versioning: boolean;
  /** How long what was deleted can be brought back; 0: not at all. */
  softDeleteSeconds: number;
  /** How long an object cannot be deleted; 0: it can be at once. */
  retentionSeconds: number;
}

/** A copy between regions takes many calls, and may take longer than one attempt has. */
export interface CopyCourse {
  /** What an earlier attempt at the same copy heard last: it goes on there. One that is too old begins anew. */
  resume?: string;
  onProgress(doneBytes: number, resume: string): void;
}

/** Which bytes of an object are read, and how. */
export interface ReadRange {
  start?: number;
  end?: number;
  /**
   * Whoever reads keeps no view of a chunk once it asks for the next one. The chunk's memory is given back then: V8 leaves tens of
   * megabytes of such memory lying about.
   */
  fleeting?: boolean;
}

/** Objects: Cloud Storage. */
export interface Objects {
  /** NOT_FOUND where there is no such bucket. */
  describe(bucket: string): Promise<BucketInfo>;
  stat(bucket: string, object: string): Promise<ObjectInfo | undefined>;
  /**
   * Stores the source whole or not at all, where no object is yet (`ifGenerationMatch=0`): a source that throws leaves
   * nothing. The object is finished only after the source has ended. ABORTED: there is one already. Holds at most a
   * few chunks; a stalled upload gives up after 30 s with UNAVAILABLE.
   */
  create(
    bucket: string,
    object: string,
    source: AsyncIterable<Uint8Array>,
    metadata: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<ObjectInfo>;
  /**
   * The bytes `[start, end)` of one generation, all of it by default; goes on by itself after a broken connection.
   * DATA_LOSS: the object is gone, or a whole read does not agree with its CRC32C.
   */
  read(
    of: Pick<ObjectInfo, "bucket" | "object" | "generation">,
    range?: ReadRange,
    signal?: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Copies one generation where no object is yet. ABORTED: there is one already. */
  copy(
    from: Pick<ObjectInfo, "bucket" | "object" | "generation">,
    to: { bucket: string; object: string },
    metadata: Record<string, string>,
    signal?: AbortSignal,
    course?: CopyCourse,
  ): Promise<ObjectInfo>;
  /**
   * Makes one object of 1 to 32 generations of the same bucket, end to end, where no object is yet; the sources stay. ABORTED:
   * there is one already. DATA_LOSS: a source is gone.
   */
  compose(
    sources: readonly Pick<ObjectInfo, "object" | "generation">[],
    to: { bucket: string; object: string },
    metadata: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<ObjectInfo>;
  /** Removes exactly this generation; one that is gone already is fine. FAILED_PRECONDITION: a hold or a retention policy keeps it. */
  remove(of: Pick<ObjectInfo, "bucket" | "object" | "generation">): Promise<void>;
  /** Puts a temporary hold on this generation, or takes it away; twice is fine. DATA_LOSS: it is gone. */
  setHold(of: Pick<ObjectInfo, "bucket" | "object" | "generation">, isHeld: boolean): Promise<void>;
  /** Sorted by the bytes of their names; from `startOffset` on, the object of that name included. */
  list(bucket: string, prefix: string, options?: { startOffset?: string }): AsyncIterable<ObjectInfo>;
}
