import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { freePort, onFreePort, preferredPorts } from "../../infra/local/port.ts";
import { StatusError } from "../../shared/error.ts";

const listening = (port: number): Promise<Server> =>
  new Promise((resolve) => {
    const server: Server = createServer().listen(port, "127.0.0.1", () => resolve(server));
  });

it("the preferred port is used where it is free", async () => {
  const port = await freePort();
  expect(await freePort(port)).toBe(port);
});

it("another port is used where the preferred one is taken", async () => {
  const port = await freePort();
  const server = await listening(port);
  expect(await freePort(port)).not.toBe(port);
  server.close();
});

it("no other process is answered a port of ours, nor one of a cluster's nodes for each other", async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, () => freePort()));
  expect(new Set(ports).size).toBe(20);
  const [first = 0] = ports.map((port) => port - (port % 200));
  for (const port of ports) expect([port - (port % 200), port < 20_000]).toEqual([first, true]);
  // Who finds the first port of a block taken looks for another block.
  await expect(once(createServer().listen(first, "127.0.0.1"), "listening")).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
});

it("a server that loses its port to another is started on the next", async () => {
  const ports: number[] = [];
  const port = await onFreePort(undefined, async (candidate) => {
    ports.push(candidate);
    if (ports.length === 1) throw new StatusError("UNAVAILABLE", "address in use");
    return candidate;
  });
  expect(ports).toHaveLength(2);
  expect(port).toBe(ports[1]);
});

it("a server that fails for another reason is not started again", async () => {
  const start = async () => {
    throw new StatusError("FAILED_PRECONDITION", "no Java");
  };
  await expect(onFreePort(undefined, start)).rejects.toThrow("no Java");
});

it("the emulators' ports are those of firebase.json", async () => {
  expect(await preferredPorts()).toMatchObject({ firestore: 8580, pubsub: 8585 });
});

it("a port in firebase.json that is none is refused by its name", async () => {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-port-"));
  const file = join(directory, "firebase.json");
  await writeFile(file, JSON.stringify({ emulators: { pubsub: { port: 8085 }, firestore: { port: "8080" } } }));
  await expect(preferredPorts(file)).rejects.toThrow(/emulators\.firestore\.port must be 1 to 65500, found "8080"/);
  await rm(directory, { recursive: true });
});
