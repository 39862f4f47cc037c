import type { Backup, BackupFile, StoredIndex } from "./backup.ts";
import { fileObject, indexObject } from "./name.ts";

/** One object of a backup as it was stored. */
export interface StoredObject extends StoredIndex {
  object: string;
  shard: number;
  /** Derived from its file: without it the backup is slower to restore, but whole. */
  isIndex: boolean;
}

/** What is stored of one shard: its file, and the index beside it, if it has one. */
export interface StoredShard {
  backupFile: BackupFile;
  file: StoredObject;
  index: StoredObject | undefined;
}

/** Every shard that a backup, or its manifest, names. */
export function storedShards({ name, backupFiles }: Pick<Backup, "name" | "backupFiles">): StoredShard[] {
  return backupFiles.map((backupFile) => {
    const { fileName, generation, crc32c, sizeBytes, index } = backupFile;
    const shard = Number.parseInt(fileName, 10);
    return {
      backupFile,
      file: { object: fileObject(name, shard), shard, isIndex: false, generation, crc32c, sizeBytes },
      index: index && { object: indexObject(name, shard), shard, isIndex: true, ...index },
    };
  });
}

/** Every object that a backup, or its manifest, names; the manifest is not among them. */
export const storedObjects = (backup: Pick<Backup, "name" | "backupFiles">): StoredObject[] =>
  storedShards(backup).flatMap(({ file, index }) => (index === undefined ? [file] : [index, file]));
