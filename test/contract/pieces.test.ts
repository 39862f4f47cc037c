import { once } from "node:events";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BrokenBody, type PiecesOptions, piecesOf } from "../../shared/gcs/pieces.ts";
import { bytesOf } from "./bytes.ts";

const pieceBytes = 256 * 1024;

/** Not a multiple of anything. */
const size = 3 * pieceBytes + 54_321;

describe("the pieces of a body", () => {
  /** What is answered next. */
  let answer: (response: ServerResponse) => void;
  const server = createServer((_, response) => answer(response));
  beforeAll(async () => {
    await once(server.listen(0, "127.0.0.1"), "listening");
  });
  afterAll(() => server.close());

  async function bodyOf(next: typeof answer): Promise<IncomingMessage> {
    answer = next;
    const request = get(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    request.on("error", () => undefined);
    const [body]: IncomingMessage[] = await once(request, "response");
    if (body === undefined) throw new Error("nobody answered");
    return body;
  }

  const whole = (response: ServerResponse) => {
    response.setHeader("content-length", size);
    response.end(bytesOf(size));
  };
  const options: PiecesOptions = { stallMs: 5_000, fleeting: false, progress: () => undefined };

  it("are of one size but for the last, and all of it", async () => {
    const pieces = await Array.fromAsync(piecesOf(await bodyOf(whole), options));
    expect(pieces.map(({ length }) => length)).toEqual([pieceBytes, pieceBytes, pieceBytes, 54_321]);
    expect(Buffer.concat(pieces).equals(bytesOf(size))).toBe(true);
  });

  it("are none of an empty body", async () => {
    expect(await Array.fromAsync(piecesOf(await bodyOf((response) => response.end()), options))).toEqual([]);
  });

  it("are all in the same memory if they are fleeting", async () => {
    const memory = new Set<ArrayBufferLike>();
    const copies: Buffer[] = [];
    for await (const piece of piecesOf(await bodyOf(whole), { ...options, fleeting: true })) {
      memory.add(piece.buffer);
      copies.push(Buffer.from(piece));
    }
    expect(memory.size).toBe(1);
    expect(Buffer.concat(copies).equals(bytesOf(size))).toBe(true);
  });

  it("tell of everything that has come, once the connection breaks", async () => {
    const body = await bodyOf((response) => {
      response.setHeader("content-length", size);
      response.write(bytesOf(pieceBytes + 1_000), () => setTimeout(() => response.destroy(), 50));
    });
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { length } of piecesOf(body, options)) seen.push(length);
    })();
    await expect(reading).rejects.toBeInstanceOf(BrokenBody);
    expect(seen).toEqual([pieceBytes, 1_000]);
  });

  it("break off where nothing comes for too long, however slow the reader is before that", async () => {
    const body = await bodyOf((response) => {
      response.setHeader("content-length", size);
      response.write(bytesOf(pieceBytes + 1_000));
    });
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { length } of piecesOf(body, { ...options, stallMs: 100 })) {
        seen.push(length);
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    })();
    await expect(reading).rejects.toThrow("nothing moved for 0.1 s");
    expect(seen).toEqual([pieceBytes, 1_000]);
  });

  it("end the connection if the reader leaves", async () => {
    let response: ServerResponse | undefined;
    const body = await bodyOf((next) => {
      response = next;
      next.setHeader("content-length", 100 * size);
      next.write(bytesOf(10 * size));
    });
    const closed = new Promise((resolve) => response?.on("close", resolve));
    for await (const piece of piecesOf(body, options)) if (piece.length > 0) break;
    await closed;
    expect(body.destroyed).toBe(true);
  });

  it("do not come faster than they are taken", async () => {
    let arrived = 0;
    const body = await bodyOf(whole);
    const pieces = piecesOf(body, { ...options, progress: () => arrived++ });
    await pieces.next();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = arrived;
    await pieces.next();
    expect(arrived).toBeGreaterThan(before);
    await pieces.return(undefined);
  });
});
