import { createServer, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { addressOf } from "../../shared/valkey/address.ts";
import { askStates } from "../../shared/valkey/cluster/node-state.ts";
import { calm, instanceAt } from "./fixture.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** Answers the first command with this text, after so long. */
async function startServer(answer: string, afterMs: number, onSocket: (socket: Socket) => void = () => undefined) {
  const server = createServer((socket) => {
    onSocket(socket);
    socket.on("error", () => undefined);
    socket.once("data", () => setTimeout(() => socket.write(answer), afterMs));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => server.close());
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  return { address: await addressOf(instanceAt(`127.0.0.1:${port}`), async () => "") };
}

it("an answer that a person has to do something about is thrown once nobody is asked any more", async () => {
  const open = new Set<Socket>();
  const slow = await startServer("-LOADING the dataset\r\n", 300, (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  });
  const strict = await startServer("-NOAUTH Authentication required.\r\n", 0);
  await expect(askStates([slow, strict], calm())).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(open.size).toBe(0);
});
