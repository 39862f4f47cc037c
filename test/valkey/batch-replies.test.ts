import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchReplies } from "../../shared/valkey/replay/batch-replies.ts";
import { cutAt } from "../rdb/files.ts";

const okay = "+OK\r\n";
const queued = (count: number) => "+QUEUED\r\n".repeat(count);

function follow(text: string, cuts: readonly number[] = []): BatchReplies {
  const replies = new BatchReplies();
  for (const chunk of cutAt(Buffer.from(text), cuts)) replies.push(chunk);
  return replies;
}

/** Anything that a server can answer to a command, arrays in arrays too. */
const reply = fc.letrec<{ any: string; leaf: string; array: string }>((tie) => ({
  leaf: fc.constantFrom(
    okay,
    ":1\r\n",
    ":-12\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "$0\r\n\r\n",
    "$5\r\n-ERR\n\r\n",
    "*0\r\n",
    "+QUEUED\r\n",
  ),
  array: fc.array(tie("any"), { minLength: 1, maxLength: 3 }).map((all) => `*${all.length}\r\n${all.join("")}`),
  any: fc.oneof({ maxDepth: 3 }, tie("leaf"), tie("array")),
})).any;

describe("the replies to batches", () => {
  it("are counted batch by batch, whatever stands in them and however they are cut", () => {
    const batch = fc.array(reply, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 4 }), fc.array(fc.nat(400)), (all, cuts) => {
        const text = all.map((items) => `${okay}${queued(items.length)}*${items.length}\r\n${items.join("")}`).join("");
        const within = cuts.filter((at) => at <= text.length).sort((a, b) => a - b);
        const { count, error, isGarbage } = follow(text, within);
        expect({ count, error, isGarbage }).toEqual({ count: all.length, error: undefined, isGarbage: false });
      }),
    );
  });

  it("tell which command was refused: as it was queued, or as it was carried out", () => {
    const first = `${okay}${queued(2)}*2\r\n${okay}*2\r\n:1\r\n:2\r\n`;
    for (const cuts of [[], [...first].map((_, n) => n)]) {
      expect(follow(`${first}${okay}${queued(1)}-ERR no\r\n`, cuts).error).toEqual({
        ...{ batch: 1, index: 2, isCarriedOut: false, text: "ERR no" },
      });
      expect(follow(`${first}${okay}${queued(3)}*3\r\n*1\r\n:1\r\n$1\r\na\r\n-WRONGTYPE x\r\n`, cuts).error).toEqual({
        ...{ batch: 1, index: 2, isCarriedOut: true, text: "WRONGTYPE x" },
      });
    }
  });

  it.each(["HTTP/1.1 200 OK\r\n", "*-1\r\n", "*99999999999\r\n", "\r\n"])("are garbage if they are %j", (text) => {
    expect(follow(text).isGarbage).toBe(true);
  });
});
