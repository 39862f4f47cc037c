import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FrameEvent, SnapshotFrame } from "../../shared/valkey/snapshot/frame.ts";

const MARK = "0123456789abcdef0123456789abcdef01234567";
const FILE = Buffer.from(
  `REDIS0011 with \r\n and \n and $ in it, and most of the mark: ${MARK.slice(0, 39)}!\n`,
  "latin1",
);
const REPLY = `\n\n+FULLRESYNC ${MARK} 14\r\n\n\n`;
const SIZED = Buffer.concat([Buffer.from(`${REPLY}$${FILE.length}\r\n`), FILE]);
const MARKED = Buffer.concat([Buffer.from(`${REPLY}$EOF:${MARK}\r\n`), FILE, Buffer.from(MARK)]);
const framings = [
  ["a file of known size", SIZED],
  ["a file between marks", MARKED],
] as const;

describe.each(framings)("%s", (_name, stream) => {
  it("is taken out of its frame whole", () => {
    expect(read([stream])).toEqual({ file: FILE, ends: ["end"] });
  });

  it("is taken out byte by byte", () => {
    expect(read(cut(stream, stream.keys()))).toEqual({ file: FILE, ends: ["end"] });
  });

  it("is taken out wherever the chunks are cut", () => {
    const cuts = fc.uniqueArray(fc.nat({ max: stream.length }), { maxLength: 12 });
    fc.assert(
      fc.property(cuts, (at) => {
        expect(read(cut(stream, at))).toEqual({ file: FILE, ends: ["end"] });
      }),
    );
  });

  it("has no end wherever it is truncated", () => {
    for (let length = 0; length < stream.length; length++) {
      const { file, ends } = read([stream.subarray(0, length)]);
      expect({ ends, isBeginning: FILE.subarray(0, file.length).equals(file) }).toEqual({
        ends: [],
        isBeginning: true,
      });
    }
  });

  it("keeps nothing of a chunk that is overwritten after it was pushed", () => {
    const frame = new SnapshotFrame();
    const chunk = Buffer.alloc(7);
    let file = "";
    for (let at = 0; at < stream.length; at += 7) {
      const part = chunk.subarray(0, stream.copy(chunk, 0, at, at + 7));
      for (const event of frame.push(part))
        if (event.is === "bytes") file += Buffer.from(event.bytes).toString("latin1");
      chunk.fill(0xee);
    }
    expect(file).toBe(FILE.toString("latin1"));
  });
});

describe("a frame", () => {
  it("tells which place in the server's history the file shows, before the file", () => {
    const resync = { is: "resync", replicationId: MARK, replicationOffset: 14 };
    expect(new SnapshotFrame().push(MARKED)[0]).toEqual(resync);
  });

  it("of no bytes is an empty file", () => {
    expect(read([Buffer.from(`${REPLY}$0\r\n`)])).toEqual({ file: Buffer.alloc(0), ends: ["end"] });
  });

  it("passes over what comes behind a file of known size", () => {
    expect(read([SIZED, Buffer.from("*1\r\n$4\r\nPING\r\n")])).toEqual({ file: FILE, ends: ["end"] });
  });

  it.each([
    ["instead of the reply", "-NOMASTERLINK Can't SYNC while not connected with my master\r\n"],
    ["instead of the file", `${REPLY}-ERR BGSAVE failed, replication can't continue\r\n`],
  ])("tells of a refusal %s", (_where, text) => {
    const events = new SnapshotFrame().push(Buffer.from(text));
    expect(events.filter(({ is }) => is !== "resync")).toEqual([
      { is: "refused", text: text.trim().split("\r\n").at(-1)?.replace(/^\n*-/, "") },
    ]);
  });

  it.each([
    ["a web server", "HTTP/1.1 400 Bad Request\r\n"],
    ["a partial resync", "+CONTINUE\r\n"],
    ["a file before the reply", "$5\r\nREDIS"],
    ["a negative size", `${REPLY}$-1\r\n`],
    ["a mark that is too short", `${REPLY}$EOF:0123\r\n`],
    ["a line without an end", "+FULLRESYNC ".padEnd(10_000, "x")],
  ])("takes %s for garbage", (_what, text) => {
    expect(read([Buffer.from(text)]).ends).toEqual(["garbage"]);
  });
});

function read(chunks: Uint8Array[]): { file: Buffer; ends: FrameEvent["is"][] } {
  const frame = new SnapshotFrame();
  const events = chunks.flatMap((chunk) => frame.push(chunk));
  const bytes = events.flatMap((event) => (event.is === "bytes" ? [event.bytes] : []));
  return {
    file: Buffer.concat(bytes),
    ends: events.map(({ is }) => is).filter((is) => is !== "bytes" && is !== "resync"),
  };
}

function cut(stream: Buffer, at: Iterable<number>): Buffer[] {
  const cuts = [0, ...[...at].sort((one, other) => one - other), stream.length];
  return cuts.slice(1).map((end, index) => stream.subarray(cuts[index], end));
}
