import { StatusError } from "../../shared/error.ts";
import type { Session } from "./session.ts";

const word = "delete";

export const confirmFlag = {
  confirm: {
    type: "string",
    value: word,
    help: `do not ask; the value is the word ${word}`,
    read(text: string) {
      if (text === word) return text;
      throw new StatusError("INVALID_ARGUMENT", `expected the word ${word}`);
    },
  },
} as const;

/** Asks for the word `delete` unless the flag brings it. FAILED_PRECONDITION: something else was typed, nothing is changed. */
export async function confirm(flag: string | undefined, consequence: string, session: Session): Promise<void> {
  if (flag !== undefined) return;
  session.say(consequence);
  session.draw(`Type the word ${word} to go on: `);
  const answer = await firstLine(session.stdin);
  if (!session.isTerminal) session.draw("\n");
  if (answer.trim() === word) return;
  throw new StatusError("FAILED_PRECONDITION", `nothing was deleted: it wants the word ${word}, or --confirm=${word}`);
}

async function firstLine(stdin: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stdin) {
    text += Buffer.from(chunk).toString("utf8");
    if (text.includes("\n") || text.length > 1_000) break;
  }
  return text.split("\n")[0] ?? "";
}
