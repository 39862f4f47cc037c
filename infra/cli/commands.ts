import type { Command } from "./command.ts";

/** A verb in the list: it is loaded only when it is asked for, so that help and wrong usage are answered at once. */
interface Entry {
  summary: string;
  /** Not in the help: only programs ask for it. */
  isHidden?: true;
  load(): Promise<Command>;
}

/** Every verb by its words. */
export const commands: Readonly<Record<string, Entry>> = {
  "instances create": {
    summary: "register a Valkey, so that it can be backed up and restored into",
    load: async () => (await import("./instances/create.ts")).create,
  },
  "instances list": {
    summary: "show the registered instances",
    load: async () => (await import("./instances/list.ts")).list,
  },
  "instances describe": {
    summary: "show all that is known of an instance",
    load: async () => (await import("./instances/describe.ts")).describe,
  },
  "instances update": {
    summary: "change what is known of an instance, its schedule too",
    load: async () => (await import("./instances/update.ts")).update,
  },
  "instances delete": {
    summary: "forget an instance; its backups stay",
    load: async () => (await import("./instances/delete.ts")).deleteInstance,
  },
  "instances check": {
    summary: "try from this machine whether an instance can be reached and backed up",
    load: async () => (await import("./instances/check.ts")).check,
  },
  "backups create": {
    summary: "take a backup of an instance now",
    load: async () => (await import("./backups/create.ts")).create,
  },
  "backups list": {
    summary: "show backups, the newest first",
    load: async () => (await import("./backups/list.ts")).list,
  },
  "backups describe": {
    summary: "show all that is known of a backup",
    load: async () => (await import("./backups/describe.ts")).describe,
  },
  "backups delete": {
    summary: "delete a backup; until its grace is over it can be undeleted",
    load: async () => (await import("./backups/delete.ts")).deleteBackup,
  },
  "backups undelete": {
    summary: "take back the deletion of a backup whose grace is not over",
    load: async () => (await import("./backups/undelete.ts")).undelete,
  },
  "backups export": {
    summary: "copy a backup to a regional bucket of your own",
    load: async () => (await import("./backups/export.ts")).exportBackup,
  },
  "backups update": {
    summary: "let a backup live longer or shorter",
    load: async () => (await import("./backups/update.ts")).update,
  },
  "backups hold": {
    summary: "keep a backup and its objects from every deletion, for a reason",
    load: async () => (await import("./backups/hold.ts")).hold,
  },
  "backups release": {
    summary: "take the hold away",
    load: async () => (await import("./backups/release.ts")).release,
  },
  "backups check": {
    summary: "read every byte of a backup again and compare it with what was recorded",
    load: async () => (await import("./backups/check.ts")).check,
  },
  "collections list": {
    summary: "show the collections of backups; they outlive their instances",
    load: async () => (await import("./collections/list.ts")).list,
  },
  "collections describe": {
    summary: "show a collection, its totals and its retention policy",
    load: async () => (await import("./collections/describe.ts")).describe,
  },
  "collections update": {
    summary: "set what a collection keeps beyond the expiry of each backup",
    load: async () => (await import("./collections/update.ts")).update,
  },
  "collections delete": {
    summary: "delete a collection with all its backups; until the grace is over they can be undeleted",
    load: async () => (await import("./collections/delete.ts")).deleteCollection,
  },
  "restores create": {
    summary: "restore a backup, or RDB files in a bucket, into an empty Valkey",
    load: async () => (await import("./restores/create.ts")).create,
  },
  "restores undo": {
    summary: "take back what a restore of single keys into a live instance has done",
    load: async () => (await import("./restores/undo.ts")).undo,
  },
  "operations list": {
    summary: "show operations, the newest first",
    load: async () => (await import("./operations/list.ts")).list,
  },
  "operations describe": {
    summary: "show an operation and its tasks",
    load: async () => (await import("./operations/describe.ts")).describe,
  },
  "operations wait": {
    summary: "wait for the end of an operation; the exit code tells how it ended",
    load: async () => (await import("./operations/wait.ts")).wait,
  },
  "operations cancel": {
    summary: "end an operation that goes on",
    load: async () => (await import("./operations/cancel.ts")).cancel,
  },
  "operations retry": {
    summary: "ask again for what an operation failed to do",
    load: async () => (await import("./operations/retry.ts")).retry,
  },
  "schedules list": {
    summary: "show the jobs of Cloud Scheduler that start backups and the rest",
    load: async () => (await import("./schedules/list.ts")).list,
  },
  "schedules run": {
    summary: "fire an instance's scheduled backup now",
    load: async () => (await import("./schedules/run.ts")).run,
  },
  status: {
    summary: "show at a glance how every instance is protected; exit code 1 where something is CRITICAL",
    load: async () => (await import("./status.ts")).status,
  },
  "findings list": {
    summary: "show what watch has found, the worst first",
    load: async () => (await import("./findings/list.ts")).list,
  },
  sweep: {
    summary: "delete what has expired and erase what was deleted",
    load: async () => (await import("./sweep.ts")).sweep,
  },
  "catalogue rebuild": {
    summary: "put down again what Firestore has lost, from the manifests in the bucket",
    load: async () => (await import("./catalogue/rebuild.ts")).rebuild,
  },
  "catalogue check": {
    summary: "find where the catalogue and the bucket do not agree",
    load: async () => (await import("./catalogue/check.ts")).check,
  },
  "rdb check": {
    summary: "read an RDB file or an AOF to its last byte and tell what is in it",
    load: async () => (await import("./rdb-check.ts")).rdbCheck,
  },
  completion: {
    summary: "print a script that completes verbs, flags and names in bash, zsh or fish",
    load: async () => (await import("./completion/script.ts")).completion,
  },
  "completion candidates": {
    summary: "what the last of the words on standard input can become",
    isHidden: true,
    load: async () => (await import("./completion/candidates.ts")).candidates,
  },
};
