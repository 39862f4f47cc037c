import { createServer, type Server } from "node:net";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../infra/local/port.ts";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Instance } from "../../shared/backup/backup.ts";
import { send } from "./client.ts";
import { calm, firstAttempt, instanceAt, snapshotOf, sourceOf, valkey } from "./fixture.ts";
import { startTlsValkey, type TlsServer } from "./tls-server.ts";

const tls = { transitEncryptionMode: "SERVER_AUTHENTICATION" } as const;

let server: ValkeyServer;
let secured: TlsServer;
let file: Awaited<ReturnType<typeof sourceOf>>;

beforeAll(async () => {
  const empty = await startValkey({ version: "8.0", args: ["--repl-diskless-sync-delay", "0"] });
  file = await sourceOf(await snapshotOf(empty.endpoint));
  await empty.stop();
  server = await startValkey({ version: "8.0", password: "sesame" });
  const withPassword = (...words: string[]) => send(server.endpoint, ["AUTH", "sesame"], words);
  await withPassword("ACL", "SETUSER", "nobody", "on", ">sesame", "~*", "-@all", "+ping");
  await withPassword("ACL", "SETUSER", "blind", "on", ">sesame", "~*", "+@all", "-client", "-config", "-function");
  secured = await startTlsValkey();
});

afterAll(async () => {
  await server?.stop();
  await secured?.stop();
});

/** Each way to a server: iovalkey, and the raw link. */
const calls = {
  describe: async (instance: Instance) => valkey.describe(instance, calm()),
  shardCount: async (instance: Instance) => valkey.shardCount(instance, calm()),
  snapshot: async (instance: Instance) => {
    for await (const _ of valkey.snapshot(instance, { shard: 0 }, calm()));
  },
  load: async (instance: Instance) => valkey.load(instance, file, firstAttempt, calm()),
};

describe.each(Object.entries(calls))("%s", (_name, call) => {
  it("calls a closed port UNAVAILABLE and names it", async () => {
    const endpoint = `127.0.0.1:${await freePort()}`;
    const message = expect.stringMatching(`nobody answers at ${endpoint} .*check the endpoint and the firewall`);
    await expect(call(instanceAt(endpoint))).rejects.toMatchObject({ code: "UNAVAILABLE", message });
  });

  it("calls a host that does not exist UNAVAILABLE, and its name what is wrong", async () => {
    const message = expect.stringMatching(/^the name in no-such-host\.invalid:6379 has no address \(E.*DNS/);
    await expect(call(instanceAt("no-such-host.invalid:6379"))).rejects.toMatchObject({ code: "UNAVAILABLE", message });
  });

  it.each([
    "",
    "host",
    "host:0",
    "host:70000",
    "a b:1",
    "redis://h:1",
    "::1:6379",
  ])("calls the endpoint '%s' INVALID_ARGUMENT", async (endpoint) => {
    await expect(call(instanceAt(endpoint))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("calls a missing password UNAUTHENTICATED", async () => {
    await expect(call(instanceAt(server.endpoint))).rejects.toMatchObject({
      code: "UNAUTHENTICATED",
      message: expect.stringContaining("--auth-secret"),
    });
  });

  it("calls a wrong password UNAUTHENTICATED and does not repeat it", async () => {
    const failure = await call(instanceAt(server.endpoint, { authSecret: "secret:xyzzy" })).catch((error) => error);
    expect({ code: failure.code, isRepeated: inspect(failure, { depth: 9 }).includes("xyzzy") }).toEqual({
      code: "UNAUTHENTICATED",
      isRepeated: false,
    });
  });

  it("names what the ACL lacks, and the line that grants it", async () => {
    const instance = instanceAt(server.endpoint, { authUser: "nobody", authSecret: "secret:sesame" });
    await expect(call(instance)).rejects.toMatchObject({
      code: "PERMISSION_DENIED",
      message: expect.stringMatching(
        /user nobody .* lacks (info|replconf).*: ACL SETUSER nobody \+ping \+info \+psync/,
      ),
    });
  });

  it("calls TLS where none is FAILED_PRECONDITION", async () => {
    await expect(call(instanceAt(server.endpoint, tls))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("speaks no TLS"),
    });
  });

  it("calls no TLS where some is FAILED_PRECONDITION", async () => {
    await expect(call(instanceAt(secured.endpoint))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("speaks only TLS"),
    });
  });

  it("refuses a certificate of an unknown authority", async () => {
    await expect(call(instanceAt(secured.endpoint, tls))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/certificate .* not accepted \(DEPTH_ZERO_SELF_SIGNED_CERT\).*--ca-file/),
    });
  });

  it("succeeds over TLS with the authority's certificate", async () => {
    const caCertificate = secured.certificate.pem;
    await expect(call(instanceAt(secured.endpoint, { ...tls, caCertificate }))).resolves.not.toThrow();
  });

  it("calls what is no Valkey FAILED_PRECONDITION", async () => {
    const web = await listen((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await expect(call(instanceAt(web.endpoint))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("is no Valkey"),
    });
    web.server.close();
  });

  it("calls a server that hangs up at once UNAVAILABLE", async () => {
    const rude = await listen((socket) => socket.destroy());
    await expect(call(instanceAt(rude.endpoint))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    rude.server.close();
  });

  it("calls a server that is loading UNAVAILABLE", async () => {
    const loading = await listen((socket) =>
      socket.on("data", () => socket.write("-LOADING Valkey is loading the dataset in memory\r\n")),
    );
    await expect(call(instanceAt(loading.endpoint))).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("is loading"),
    });
    loading.server.close();
  });
});

describe("a describe", () => {
  it("leaves out what the ACL keeps from it: CONFIG and FUNCTION", async () => {
    const instance = instanceAt(server.endpoint, { authUser: "blind", authSecret: "secret:sesame" });
    const found = await valkey.describe(instance, calm());
    const hidden = ["functionCount", "functionLibraries", "databaseCount", "maxBulkBytes"];
    expect(hidden.filter((field) => field in found)).toEqual([]);
    expect(found).toMatchObject({ product: "Valkey", maxMemoryPolicy: "noeviction", modules: [] });
  });

  it("counts libraries where it may not list them", async () => {
    const withPassword = (...words: string[]) => send(server.endpoint, ["AUTH", "sesame"], words);
    await withPassword("FUNCTION", "LOAD", "#!lua name=mine\nserver.register_function('f', function() return 1 end)");
    await withPassword("ACL", "SETUSER", "counter", "on", ">sesame", "~*", "+@all", "-function", "+function|stats");
    const asCounter = instanceAt(server.endpoint, { authUser: "counter", authSecret: "secret:sesame" });
    const found = await valkey.describe(asCounter, calm());
    expect([found.functionCount, "functionLibraries" in found]).toEqual([1, false]);
    const asDefault = instanceAt(server.endpoint, { authSecret: "secret:sesame" });
    expect(await valkey.describe(asDefault, calm())).toMatchObject({ functionCount: 1, functionLibraries: ["mine"] });
    await withPassword("FUNCTION", "FLUSH");
  });

  it("knows a server by the address that its name leads to, but not over TLS, where that may be several servers'", async () => {
    const { port } = server;
    const named = await valkey.describe(instanceAt(`localhost:${port}`, { authSecret: "secret:sesame" }), calm());
    expect(named.ids).toEqual(expect.arrayContaining([named.runId, `127.0.0.1:${port}`]));
    const overTls = { ...tls, caCertificate: secured.certificate.pem };
    const hidden = await valkey.describe(instanceAt(secured.endpoint, overTls), calm());
    expect(hidden.ids).toContain(hidden.runId);
    expect(hidden.ids.join(" ")).not.toContain(":");
  });

  it("tells the limits that an operator has set", async () => {
    const args = ["--databases", "3", "--maxmemory", "50mb", "--maxmemory-policy", "volatile-ttl"];
    const small = await startValkey({ version: "8.0", args: [...args, "--proto-max-bulk-len", "1mb"] });
    try {
      const found = await valkey.describe(instanceAt(small.endpoint), calm());
      expect(found).toMatchObject({
        databaseCount: 3,
        maxMemoryBytes: 52_428_800,
        maxMemoryPolicy: "volatile-ttl",
        maxBulkBytes: 1_048_576,
      });
      expect(found.systemMemoryBytes).toBeGreaterThan(52_428_800);
    } finally {
      await small.stop();
    }
  });

  it("ends at once, with the signal's reason, when the server is silent", async () => {
    const silent = await listen(() => undefined);
    const controller = new AbortController();
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 50);
    await expect(valkey.describe(instanceAt(silent.endpoint), controller.signal)).rejects.toBe(reason);
    silent.server.close();
  });

  it("does not begin under a signal that was aborted before", async () => {
    await expect(valkey.describe(instanceAt(server.endpoint), AbortSignal.abort("gone"))).rejects.toBe("gone");
  });
});

async function listen(onConnection: Parameters<typeof createServer>[1]): Promise<{ server: Server; endpoint: string }> {
  const port = await freePort();
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    onConnection?.(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  server.unref();
  return { server, endpoint: `127.0.0.1:${port}` };
}
