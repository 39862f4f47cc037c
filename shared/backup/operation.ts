import type { Code } from "../error.ts";
import type { Instance, RdbFacts } from "./backup.ts";
import type { Check } from "./check.ts";
import type { EventType } from "./event.ts";
import type { Selection } from "./selection.ts";
import type { ServerIdentity } from "./server-identity.ts";

const verbs = [
  "backup",
  "export",
  "retire",
  "sweep",
  "delete",
  "undelete",
  "hold",
  "release",
  "update",
  "erase",
  "dissolve",
  "rebuild",
  "reclaim",
  "restore",
  "undo",
  "schedule",
] as const;

/** What an Operation does; its id begins with it. */
export type Verb = (typeof verbs)[number];

/** One request and how it went, from its first message to its last. `operations/{operationId}`, kept 90 days. */
export interface Operation {
  name: string;
  verb: Verb;
  /** The resource that it is about, as far as the request named one. */
  target: string;
  requestId?: string;
  /** What was asked, so that it can be asked again. */
  request: { type: EventType; data: unknown };
  /** Why it was begun, where the system began it by itself. */
  cause?: string;
  createTime: string;
  endTime?: string;
  done: boolean;
  error?: OperationError;
  /** It ended with an error that somebody was told of, `operation.v1.failed`; a refusal tells nobody. */
  hasFailed?: true;
  /** What came of it: the resource that was made, counts. Small facts only. */
  response?: Record<string, string | number>;
  progress: Progress;
  /** Until when it waited, or waits yet, before its step began, and for what. */
  postponed?: { until: string; reason: string };
  /** Past it `relay` ends the Operation with DEADLINE_EXCEEDED. */
  deadlineTime: string;
  /** What it holds of others, given back in the commit that ends it. */
  holds: Hold[];
  /** What the preflight of a restore found, check by check. */
  checks?: Check[];
  plan?: RestorePlan;
  /** What went wrong on the way and was done again, the latest last. */
  incidents?: Incident[];
  /** Of a restore of single keys into a live instance. */
  selection?: Selection;
  /** The target of a dry run, where nobody has registered it so: known to this Operation alone. */
  dryRunTarget?: Instance;
}

export interface OperationError {
  code: Code;
  message: string;
  /** Bytes from the start of the input, where that means something. */
  offset?: number;
}

export interface Incident extends OperationError {
  time: string;
}

export interface Progress {
  step: string;
  doneBytes?: number;
  totalBytes?: number;
  /** By which a later attempt goes on where this one ended: each step's own. */
  resume?: string;
}

/**
 * What an Operation holds. `lock`: a field of a document names it. `pin`: a Backup's `pins` list names it.
 * `endpoint`: the document of an endpoint, or of the server behind it, that it writes to. `server`: one that
 * it reads. `draft`: a Backup in CREATING that is taken back, with its objects, if the Operation fails. `replay`: an Instance that lets no
 * key expire; if the Operation fails, that is put back.
 */
export type Hold =
  | { kind: "lock"; path: string; field: "creating" | "deleting" | "restoring" }
  | { kind: "pin" | "endpoint" | "server" | "draft" | "replay"; path: string };

/** One message of an Operation and its delivery. `operations/{id}/tasks/{taskId}` */
export interface Task {
  type: EventType;
  data: unknown;
  createTime: string;
  /** Claims so far; deliveries that were told "later" do not count. */
  attempt: number;
  lease?: Lease;
  done: boolean;
  /** Why the last attempt failed; kept while the next one runs. */
  error?: OperationError;
  progress?: Progress;
  /** Of a step that goes on where an earlier attempt ended. */
  gain?: Gain;
  /** From when `relay` looks at it and publishes its message again; absent once done. */
  relayTime?: string;
}

/** What the attempts at a Task have brought, in bytes that a later one need not do again. */
export interface Gain {
  /** Where the next attempt goes on. */
  keptBytes: number;
  /** How far any of them came: one that has to begin anew is behind that. */
  mostBytes: number;
  /** So many of them do not count against those that are allowed. */
  freeAttempts: number;
}

export interface Lease {
  owner: string;
  /** Rises with each claim: what a newer claim began, an older one cannot end. */
  epoch: number;
  expireTime: string;
}

/** What a restore will load, fixed before anything is touched, and how far it is. */
export interface RestorePlan {
  source: string;
  files: RestoreFile[];
  /** What is loaded by one message each, in the order in which they are asked for. */
  parts: RestorePart[];
  /** How many parts were asked for, and how many are loaded: between the two are those on their way. */
  askedCount: number;
  loadedCount: number;
  target: FoundTarget;
  /** What was loaded of each file of which anything was. */
  loaded: LoadedFile[];
  /** The commands of an AOF, which follow once the files are loaded; in their order. Absent: there are none. */
  replays?: ReplayFile[];
}

/** The target as it was found: a server that restarted meanwhile has another runId; one may not tell its functions. */
export interface FoundTarget extends ServerIdentity {
  runId: string;
  expiredKeys: number;
  functionCount?: number;
  /** It can be told to let no key expire while commands are replayed. */
  suspendsExpiry?: true;
  /** Of a cluster: each primary. */
  shards?: { runId: string; expiredKeys: number }[];
}

export interface RestoreFile extends RdbFacts {
  bucket: string;
  object: string;
  generation: string;
  /** The object goes on behind these `sizeBytes`, with the commands of an AOF. */
  isPreamble?: true;
}

/** The commands of one file of an AOF, up to its last whole one. */
export interface ReplayFile {
  bucket: string;
  object: string;
  generation: string;
  sizeBytes: number;
  /** Behind an RDB preamble, if there is one. */
  startOffset: number;
  /** What is behind it is torn: no whole command, or no whole transaction. */
  endOffset: number;
  commands: number;
  /** Those that may say when a key expires. */
  expires: number;
  /** The databases that are written to. */
  databases: number[];
  largestArgumentBytes: number;
  /** The first command that no restore sends, and where it begins. */
  refused?: { name: string; offset: number };
}

/** What one message loads: a file of the plan, or a stretch of it between two record borders. */
export interface RestorePart {
  /** Its place in the plan's list. */
  file: number;
  /** Absent: the file whole. `endOffset` absent: to its end. `database`: the one selected where it begins; `crc64`: see `FileIndex`. */
  stretch?: {
    startOffset: number;
    endOffset?: number;
    database: number;
    crc64: { before: string; after: string };
  };
}

/** What loading came to. */
export interface Loaded {
  /** Created keys and, of them, those with an expiry, for each database. */
  databases: Record<string, { keys: number; expires: number }>;
  /** Keys whose time had passed, not created. */
  expiredKeys: number;
  /** Of the created keys, those whose time was so near that the server may have met it first. */
  soonExpiredKeys: number;
  functions: number;
  sizeBytes: number;
}

/** What loading one part came to. */
export interface PartResult extends Loaded {
  part: number;
}

/** What the loaded parts of one file sum up to. */
export interface LoadedFile extends Loaded {
  /** Its place in the plan's list. */
  file: number;
}
