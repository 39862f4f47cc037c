import { buffer } from "node:stream/consumers";
import { command } from "../command.ts";
import { completionsOf } from "./completions.ts";

/**
 * What the shells' scripts ask: one candidate a line, what it means after a tab. The words, up to and with the one that is being typed,
 * come on standard input, each ended by a zero byte: so none of them is taken for a flag of this verb.
 */
export const candidates = command({
  positionals: {},
  flags: {},
  example: "valkeep completion candidates",

  async run(_input, session) {
    const words = (await buffer(session.stdin)).toString().split("\0").slice(0, -1);
    const found = await completionsOf(words, session);
    const lines = found.map(({ value, help }) => (help === undefined ? value : `${value}\t${help}`));
    if (session.isJson || lines.length > 0) session.print(found, lines.join("\n"));
  },
});
