import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { Link } from "../../shared/valkey/link.ts";

/** A link to a server that answers the greeting, and the server's end of it. */
async function linked(signal = new AbortController().signal) {
  const server = createServer();
  const connected = once(server, "connection");
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const address = { host: "127.0.0.1", port, endpoint: `127.0.0.1:${port}`, tls: undefined, user: "default" };
  const opening = Link.open({ ...address, password: undefined }, signal, { slabBytes: 128 * 1024 });
  const [socket]: Socket[] = await connected;
  if (socket === undefined) throw new Error("nobody came");
  socket.on("error", () => undefined).write("+PONG\r\n");
  return { link: await opening, socket, [Symbol.dispose]: () => void server.close() };
}

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();

it("what comes while a link gathers is read at once", async () => {
  using there = await linked();
  const { link, socket } = there;
  const reading = link.read(5_000, 200);
  for (const piece of ["one ", "two ", "three"]) {
    socket.write(piece);
    await sleep(20);
  }
  expect(text(await reading)).toBe("one two three");
  link.close();
});

it("a link that gathers waits for what comes later", async () => {
  using there = await linked();
  const { link, socket } = there;
  const reading = link.read(5_000, 10);
  await sleep(60);
  socket.write("late");
  expect(text(await reading)).toBe("late");
  link.close();
});

it("a link that gathers still hands out what came before the other side ended", async () => {
  using there = await linked();
  const { link, socket } = there;
  const reading = link.read(5_000, 50);
  socket.end("last words");
  expect([text(await reading), await link.read(5_000, 50)]).toEqual(["last words", undefined]);
  link.close();
});

it("a link that gathers ends with its signal at once", async () => {
  const cut = new AbortController();
  using there = await linked(cut.signal);
  const reading = there.link.read(5_000, 60_000);
  setTimeout(() => cut.abort(new Error("enough")), 20);
  await expect(reading).rejects.toThrow("enough");
});
