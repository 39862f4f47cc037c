import { StatusError } from "../error.ts";
import { splitWords } from "./words.ts";

/** The files of a multi-part AOF in the order in which a server loads them: the base, then the increments. */
export interface AofManifest {
  base?: AofPart;
  increments: AofPart[];
}

export interface AofPart {
  /** Beside the manifest, in the same folder. */
  fileName: string;
  seq: number;
}

/** A server's own is some hundred bytes; it refuses longer lines (`MANIFEST_MAX_LINE`, aof.c, 7.0). */
const lineBytes = 1024;

/** What a manifest may have at most: a server rewrites long before there are so many files. */
export const longestManifestBytes = 1024 * 1024;

/**
 * Reads `appendonly.aof.manifest`: lines `file NAME seq N type b|i|h`, to which newer servers add further pairs, such as
 * `startoffset X`. `h` are files that the server will delete. Refuses, as DATA_LOSS with the line's offset, what the server
 * refuses (`aofLoadManifestFromFile`): a second base, numbers that do not rise, a name that leads to another folder.
 */
export function parseManifest(bytes: Uint8Array): AofManifest {
  const text = Buffer.from(bytes).toString("latin1");
  const manifest: AofManifest = { increments: [] };
  if (text === "") throw malformed("it is empty", 0);
  if (!text.endsWith("\n")) throw malformed("its last line is not complete", text.length);
  let offset = 0;
  for (const line of text.slice(0, -1).split("\n")) {
    if (!line.startsWith("#")) add(manifest, line, offset);
    offset += line.length + 1;
  }
  return manifest;
}

function add(manifest: AofManifest, line: string, offset: number): void {
  const { type, ...part } = partOf(line, offset);
  if (type === "h") return;
  if (type === "b") {
    if (manifest.base !== undefined) throw malformed("it names a second base", offset);
    manifest.base = part;
    return;
  }
  if (part.seq <= (manifest.increments.at(-1)?.seq ?? 0))
    throw malformed("the numbers of its increments do not rise", offset);
  manifest.increments.push(part);
}

function partOf(line: string, offset: number): AofPart & { type: "b" | "i" | "h" } {
  const words = line.length > lineBytes ? undefined : splitWords(line);
  if (words === undefined || words.length < 6 || words.length % 2 !== 0)
    throw malformed("expected a line of the form `file NAME seq N type b|i|h`", offset);
  const pairs = new Map<string, string>();
  for (let at = 0; at < words.length; at += 2) pairs.set((words[at] ?? "").toLowerCase(), words[at + 1] ?? "");
  const fileName = Buffer.from(pairs.get("file") ?? "", "latin1").toString();
  if (fileName === "" || /[/\\]/.test(fileName) || fileName === "." || fileName === "..")
    throw malformed("a file's name is missing, or leads to another folder", offset);
  const seq = Number(pairs.get("seq"));
  if (!Number.isSafeInteger(seq) || seq < 1) throw malformed("a file has no number", offset);
  const type = pairs.get("type");
  if (type !== "b" && type !== "i" && type !== "h")
    throw malformed("a file is of none of the types b, i and h", offset);
  return { fileName, seq, type };
}

function malformed(what: string, offset: number): StatusError {
  return new StatusError("DATA_LOSS", `AOF manifest damaged at byte ${offset}: ${what}`, { offset });
}
