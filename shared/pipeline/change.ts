import { later, timeOf } from "../backup/duration.ts";
import { type EventMap, type EventType, events } from "../backup/event.ts";
import { taskName } from "../backup/name.ts";
import type { Hold, Operation, OperationError, Task } from "../backup/operation.ts";
import { newOperation, operationIdFor } from "./identity.ts";
import type { Doc, Query, Store, Write } from "./ports.ts";
import { release } from "./release.ts";

/** An event on its way to Pub/Sub, kept until it has been published. `outbox/{id}` */
export interface OutboxEntry {
  type: EventType;
  data: unknown;
  attributes: Record<string, string>;
  /** From when `relay` publishes it, if it is still there. */
  relayTime: string;
  createTime: string;
  /** Since when it should have been published, where `relay` tried in vain. */
  dueTime?: string;
}

/** Of more, an Operation forgets the first. */
const mostIncidents = 50;

export const outboxCollection = "outbox";

/** An event as the outbox keeps it until it is published; where nobody has, `relay` does from `notBefore` on. */
export function outboxEntry<T extends EventType>(
  id: string,
  type: T,
  data: EventMap[T],
  attributes: Record<string, string>,
  now: string,
  notBefore: string = later(now, 30),
): OutboxEntry {
  events[type].parse(data);
  return { type, data, attributes: { ...attributes, id, type, time: now }, relayTime: notBefore, createTime: now };
}

/**
 * One atomic batch in the making. Whatever is written was read here first, and is guarded by that read: if it has
 * changed when the batch is written, nothing is written and the whole decision is made again.
 */
export class Change {
  readonly now: string;
  readonly operation: Operation;
  readonly #store: Store;
  readonly #read = new Map<string, Doc | undefined>();
  readonly #written = new Map<string, object | undefined>();
  readonly #entries: { id: string; entry: OutboxEntry; isDeferred: boolean }[] = [];

  constructor(store: Store, now: string, operation: Doc<Operation> | Operation) {
    this.#store = store;
    this.now = now;
    if ("updateTime" in operation) {
      this.#read.set(operation.path, operation);
      this.operation = structuredClone(operation.data);
    } else {
      this.#read.set(operation.name, undefined);
      this.operation = operation;
    }
    this.#written.set(this.operation.name, this.operation);
  }

  /** The document as it stands, or as this change has left it. */
  async read<T>(path: string): Promise<T | undefined> {
    if (this.#written.has(path)) return this.#written.get(path) as T | undefined;
    if (!this.#read.has(path)) this.#read.set(path, await this.#store.get(path));
    return this.#read.get(path)?.data as T | undefined;
  }

  /** What a query finds, each document as `read` answers it. That there is not one more by the time of the batch nothing guards. */
  async find<T>(query: Query): Promise<T[]> {
    const found: T[] = [];
    for (const doc of await this.#store.query<T>(query)) {
      if (!this.#read.has(doc.path)) this.#read.set(doc.path, doc);
      const data = await this.read<T>(doc.path);
      if (data !== undefined) found.push(data);
    }
    return found;
  }

  /** Takes a read made elsewhere as this change's own, with its guard. */
  adopt(path: string, doc: Doc | undefined): void {
    this.#read.set(path, doc);
  }

  /** Creates the document, or replaces what was read. */
  put(path: string, data: object): void {
    this.#wasRead(path);
    this.#written.set(path, data);
  }

  remove(path: string): void {
    this.#wasRead(path);
    this.#written.set(path, undefined);
  }

  /** Asks for the next step of this Operation. `key` tells members of a set apart. */
  ask<T extends EventType>(type: T, data: EventMap[T], key?: string | number): void {
    const taskId = key === undefined ? type : `${type}:${key}`;
    this.operation.progress = { step: type };
    this.#begin(this.operation.name, taskId, type, data);
  }

  /**
   * Asks for a new Operation, known by `identity`: asking twice asks once. With `notBefore` its message is left
   * to `relay`, which publishes it then.
   */
  async request<T extends EventType>(type: T, data: EventMap[T], identity: string, notBefore?: string): Promise<void> {
    const operation = newOperation(type, data, operationIdFor(type, identity), this.now);
    if (notBefore !== undefined)
      operation.deadlineTime = timeOf(
        Date.parse(operation.deadlineTime) + Date.parse(notBefore) - Date.parse(this.now),
      );
    if ((await this.read(operation.name)) !== undefined) return;
    this.#written.set(operation.name, operation);
    this.#begin(operation.name, type, type, data, notBefore);
  }

  /** States a fact. `key` tells those of a set apart. */
  say<T extends EventType>(type: T, data: EventMap[T], key?: string): void {
    this.#queue(`${idOf(this.operation.name)}.${type}${key === undefined ? "" : `.${key}`}`, type, data, {});
  }

  /** Keeps what went wrong and will be, or was, done again: whoever reads the Operation later can follow it. */
  tell({ code, message }: Pick<OperationError, "code" | "message">): void {
    this.operation.incidents = [...(this.operation.incidents ?? []), { time: this.now, code, message }].slice(
      -mostIncidents,
    );
  }

  /** Remembers what the Operation takes hold of, so that its end gives it back. */
  hold(hold: Hold): void {
    const isHeld = this.operation.holds.some((held) => held.kind === hold.kind && held.path === hold.path);
    if (!isHeld) this.operation.holds.push(hold);
  }

  /** Ends the Operation and gives back what it holds. */
  async end(
    outcome: { response?: Operation["response"]; error?: OperationError; isRefusal?: boolean } = {},
  ): Promise<void> {
    const { operation } = this;
    await release(this, outcome.error !== undefined);
    operation.done = true;
    operation.endTime = this.now;
    if (outcome.response !== undefined) operation.response = outcome.response;
    if (outcome.error === undefined) return;
    operation.error = outcome.error;
    const { code, message } = outcome.error;
    if (outcome.isRefusal === true) return;
    operation.hasFailed = true;
    this.say("operation.v1.failed", { operation: operation.name, target: operation.target, code, message });
  }

  /** The batch, guards and all. */
  writes(): Write[] {
    const writes: Write[] = [];
    for (const [path, data] of this.#written) {
      const before = this.#read.get(path);
      if (data === undefined && before === undefined) continue;
      if (data === undefined) writes.push({ kind: "remove", path, ...(before && { updateTime: before.updateTime }) });
      else if (before === undefined) writes.push({ kind: "create", path, data });
      else writes.push({ kind: "put", path, data, updateTime: before.updateTime });
    }
    for (const { id, entry } of this.#entries)
      writes.push({ kind: "create", path: `${outboxCollection}/${id}`, data: entry });
    return writes;
  }

  /** What to publish once the batch is written. */
  outgoing(): { id: string; entry: OutboxEntry }[] {
    return this.#entries.filter(({ isDeferred }) => !isDeferred);
  }

  #begin<T extends EventType>(operation: string, taskId: string, type: T, data: EventMap[T], notBefore?: string): void {
    const path = taskName(idOf(operation), taskId);
    const task: Task = {
      type,
      data,
      createTime: this.now,
      attempt: 0,
      done: false,
      relayTime: later(notBefore ?? this.now, 60),
    };
    this.#read.set(path, undefined);
    this.#written.set(path, task);
    this.#queue(`${idOf(operation)}.${taskId}`, type, data, { operation: idOf(operation), task: taskId }, notBefore);
  }

  #queue<T extends EventType>(
    id: string,
    type: T,
    data: EventMap[T],
    attributes: Record<string, string>,
    notBefore?: string,
  ): void {
    const entry = outboxEntry(id, type, data, attributes, this.now, notBefore);
    this.#entries.push({ id, entry, isDeferred: notBefore !== undefined });
  }

  #wasRead(path: string): void {
    if (!this.#read.has(path)) throw new Error(`${path} is written without having been read`);
  }
}

/** `operations/backup-3f9a` → `backup-3f9a`. */
export const idOf = (name: string): string => name.slice(name.lastIndexOf("/") + 1);
