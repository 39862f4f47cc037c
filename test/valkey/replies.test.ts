import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ReplyCounter } from "../../shared/valkey/load/replies.ts";

const GOOD = "+OK\r\n+OK\r\n$4\r\ntiny\r\n+PONG\r\n:12\r\n$0\r\n\r\n+OK\r\n";

describe("the replies to a pipeline", () => {
  it("are counted wherever the chunks are cut", () => {
    fc.assert(
      fc.property(chunksOf(GOOD), (chunks) => {
        expect(count(chunks)).toMatchObject({ count: 7, isGarbage: false });
      }),
    );
  });

  it("are counted with the errors among them, whose texts and places are told", () => {
    const replies = `${GOOD}-BUSYKEY Target key name already exists.\r\n+OK\r\n-MOVED 7 :1\r\n`;
    const errors = [
      { index: 7, text: "BUSYKEY Target key name already exists." },
      { index: 9, text: "MOVED 7 :1" },
    ];
    fc.assert(
      fc.property(chunksOf(replies), (chunks) => {
        const counter = count(chunks);
        expect([counter.count, counter.takeErrors(), counter.takeErrors()]).toEqual([10, errors, []]);
      }),
    );
  });

  it("are not counted before they are complete", () => {
    for (let length = 0; length < 5; length++) expect(count(["+OK\r\n".slice(0, length)]).count).toBe(0);
  });

  it("are garbage when they are anything else", () => {
    expect(count(["*2\r\n"]).isGarbage).toBe(true);
  });

  it("keep no more than a kilobyte of an endless error", () => {
    const counter = count(["-ERR ", ...("x".repeat(5_000).match(/.{1,100}/g) ?? []), "\r\n"]);
    expect(counter.takeErrors()[0]?.text.length).toBeLessThan(1_100);
  });
});

function count(chunks: string[]): ReplyCounter {
  const counter = new ReplyCounter();
  for (const chunk of chunks) counter.push(Buffer.from(chunk));
  return counter;
}

function chunksOf(text: string): fc.Arbitrary<string[]> {
  return fc.array(fc.nat({ max: text.length }), { maxLength: 12 }).map((at) => {
    const cuts = [0, ...at.sort((one, other) => one - other), text.length];
    return cuts.slice(1).map((end, index) => text.slice(cuts[index], end));
  });
}
