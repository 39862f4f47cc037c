/** How much of a library's code is looked at for its name: its first line is short, or it is none. */
const lineBytes = 1_024;

/** The name in the first line of a function library, `#!lua name=mylib` (functions.c, functionExtractLibMetaData); undefined where there is none. */
export function libraryNameOf(code: Uint8Array): string | undefined {
  const text = Buffer.from(code.buffer, code.byteOffset, Math.min(code.length, lineBytes)).toString("latin1");
  const [line = ""] = text.split("\n", 1);
  return /^#!\S+.*?\sname="?(\w+)/i.exec(line)?.[1];
}
