import { type AofCommand, oneWordCommands } from "./command.ts";

interface Entry {
  bytes: Uint8Array;
  command: AofCommand;
}

/** By length and the first and last byte: at most three names share a place. */
const places: Entry[][] = [];

const placeOf = (length: number, first: number, last: number): number =>
  (length << 10) | ((first & 0x1f) << 5) | (last & 0x1f);

for (const command of oneWordCommands) {
  const bytes = new Uint8Array(Buffer.from(command.name, "latin1"));
  const place = placeOf(bytes.length, bytes[0] as number, bytes.at(-1) as number);
  places[place] = [...(places[place] ?? []), { bytes, command }];
}

const longest = Math.max(...oneWordCommands.map(({ name }) => name.length));

/**
 * The command whose name stands in these bytes, in any case. Compares bytes, because making a string of each of millions of names
 * would cost more than reading the file. `undefined`: none of those that are told by one word.
 */
export function lookUp(bytes: Uint8Array, at: number, length: number): AofCommand | undefined {
  if (length === 0 || length > longest) return undefined;
  const entries = places[placeOf(length, bytes[at] as number, bytes[at + length - 1] as number)];
  if (entries === undefined) return undefined;
  for (const { bytes: name, command } of entries) {
    let n = 0;
    // Every name consists of letters: clearing one bit makes them capital, and nothing else equal to them.
    while (n < length && isSameLetter(bytes[at + n] as number, name[n] as number)) n++;
    if (n === length) return command;
  }
  return undefined;
}

const isSameLetter = (byte: number, capital: number): boolean => byte === capital || byte === capital + 0x20;
