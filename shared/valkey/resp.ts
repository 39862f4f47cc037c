/** A command in the protocol's own form, an array of bulks. Text is UTF-8. */
export function command(words: readonly (string | Uint8Array)[]): Uint8Array {
  const parts = words.flatMap((word) => {
    const bytes = typeof word === "string" ? Buffer.from(word) : word;
    return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")];
  });
  return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...parts]);
}
