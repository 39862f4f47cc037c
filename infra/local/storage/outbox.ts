import { readdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { jsonFiles, readJson, writeJson } from "./disk.ts";

/** A notification on its way to a topic (`projects/P/topics/T`). */
export interface Letter {
  topic: string;
  /** When its event happened. */
  time: string;
  attributes: Record<string, string>;
  data: string;
}

/** Hands one message over to Pub/Sub; a rejection means that it was not taken. */
export type Publish = (topic: string, message: { data: Buffer; attributes: Record<string, string> }) => Promise<void>;

/** Letters on disk whose event has not happened yet. */
export type Announced = string[];

/** Cloud Storage gives a message up after 7 days (https://cloud.google.com/storage/docs/pubsub-notifications#delivery). */
const keptMs = 7 * 24 * 3600 * 1000;

/** The pause after a first failed attempt; each further one is twice as long. */
const firstPauseMs = 100;

/** The longest pause between two attempts. */
const longestPauseMs = 10_000;

/**
 * Notifications that survive Pub/Sub's absence and this process's end. A change of an object first *announces* its
 * letters, then happens, then *releases* them; a crash in between leaves announced letters, and the next start asks
 * whether their change has happened. Each topic has a line of its own, so a missing one holds up nobody else.
 */
export class Outbox {
  readonly #folder: string;
  readonly #publish: Publish;
  readonly #now: () => Date;
  readonly #lines = new Map<string, { files: string[]; emptied: Promise<void> }>();
  readonly #stopped = new AbortController();
  #next = 1;

  constructor(folder: string, publish: Publish, now: () => Date) {
    this.#folder = folder;
    this.#publish = publish;
    this.#now = now;
  }

  /** Takes up what the last run left behind. `happened` tells whether an announced letter's change took place. */
  resume(happened: (letter: Letter) => boolean): void {
    for (const pending of readdirSync(this.#folder).filter((name) => name.endsWith(".pending"))) {
      const path = join(this.#folder, pending);
      if (happened(readJson<Letter>(path))) renameSync(path, path.replace(".pending", ".json"));
      else rmSync(path);
    }
    for (const file of jsonFiles(this.#folder)) {
      this.#next = Math.max(this.#next, Number(basename(file, ".json")) + 1);
      this.#enqueue(file);
    }
  }

  /** Puts letters on disk before their event happens. */
  announce(letters: Letter[]): Announced {
    return letters.map((letter) => {
      const path = join(this.#folder, `${String(this.#next++).padStart(12, "0")}.pending`);
      writeJson(path, letter);
      return path;
    });
  }

  /** Sends announced letters: their event has happened. */
  release(announced: Announced): void {
    for (const pending of announced) {
      const file = pending.replace(".pending", ".json");
      renameSync(pending, file);
      this.#enqueue(file);
    }
  }

  /** Stops sending; what was not taken stays on disk. */
  async close(): Promise<void> {
    this.#stopped.abort();
    await Promise.all([...this.#lines.values()].map((line) => line.emptied));
  }

  #enqueue(file: string): void {
    const { topic } = readJson<Letter>(file);
    const line = this.#lines.get(topic);
    if (line !== undefined) {
      line.files.push(file);
      return;
    }
    const files = [file];
    this.#lines.set(topic, { files, emptied: this.#send(topic, files) });
  }

  async #send(topic: string, files: string[]): Promise<void> {
    let pauseMs = firstPauseMs;
    while (files[0] !== undefined && !this.#stopped.signal.aborted) {
      if (await this.#deliver(files[0], pauseMs === firstPauseMs)) {
        rmSync(files[0]);
        files.shift();
        pauseMs = firstPauseMs;
        continue;
      }
      await sleep(pauseMs, undefined, { signal: this.#stopped.signal }).catch(ignoreAbort);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
    this.#lines.delete(topic);
  }

  /** Whether the letter is done with: taken, or too old. Only a line's first failure is reported. */
  async #deliver(file: string, isFirst: boolean): Promise<boolean> {
    const { topic, time, attributes, data } = readJson<Letter>(file);
    if (this.#now().getTime() - Date.parse(time) > keptMs) return true;
    const stopped = Promise.withResolvers<boolean>();
    const stop = () => stopped.resolve(false);
    this.#stopped.signal.addEventListener("abort", stop);
    try {
      const sent = this.#publish(topic, { data: Buffer.from(data), attributes });
      return await Promise.race([sent.then(() => true), stopped.promise]);
    } catch (error) {
      if (isFirst) console.error(`storage: ${topic} does not take a notification, trying again: ${String(error)}`);
      return false;
    } finally {
      this.#stopped.signal.removeEventListener("abort", stop);
    }
  }
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === "AbortError")) throw error;
}
