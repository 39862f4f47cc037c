/** How much of a library's code is looked at for its name: the first line is short, or it is none. */
const lineBytes = 1_024;

/** The name in the first line of a function library, `#!lua name=mylib` (functions.c, functionsCreateWithLibraryCtx); undefined where there is none. */
export function libraryNameOf(code: Uint8Array): string | undefined {
  const text = Buffer.from(code.buffer, code.byteOffset, Math.min(code.length, lineBytes)).toString("latin1");
  return /^#!\S+[^\n]*?\sname="?([A-Za-z0-9_]+)/.exec(text)?.[1];
}
