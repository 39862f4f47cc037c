import { execFile } from "node:child_process";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { deb822Sources, oneLineSources } from "../../infra/local/debian.ts";
import { findValkey, startValkey, type ValkeyOptions, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { isRunning } from "./processes.ts";

/** The first search on a machine may have to fetch packages. */
const timeout = 120_000;
const started: ValkeyServer[] = [];

afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});

async function start(options: ValkeyOptions = {}): Promise<ValkeyServer> {
  const server = await startValkey(options);
  started.push(server);
  return server;
}

async function ask(server: ValkeyServer, ...words: string[]): Promise<string> {
  const { cli } = await findValkey();
  const [program = "", ...args] = [...cli, "-p", `${server.port}`, ...words];
  return (await promisify(execFile)(program, args)).stdout.trim();
}

describe("a server", { timeout }, () => {
  it("is a real one, called what it is", async () => {
    const server = await start();
    const info = await ask(server, "INFO", "server");
    expect(server.name).toBe(info.includes("valkey_version:") ? "Valkey" : "Redis");
    expect(info).toContain(`${server.name.toLowerCase()}_version:${server.version}`);
    expect(info).toContain(`process_id:${server.pid}`);
  });

  it("listens on loopback, saves nothing by itself and allows DEBUG", async () => {
    const server = await start();
    expect(await ask(server, "CONFIG", "GET", "bind")).toBe("bind\n127.0.0.1");
    expect(await ask(server, "CONFIG", "GET", "save")).toBe("save");
    expect(await ask(server, "DEBUG", "DIGEST")).toMatch(/^0{40}$/);
  });

  it("with a password asks for it", async () => {
    const server = await start({ password: "s3cret" });
    expect(await ask(server, "PING")).toContain("NOAUTH");
    expect(await ask(server, "--no-auth-warning", "-a", "s3cret", "PING")).toBe("PONG");
  });

  it("takes another port where the preferred one is taken", async () => {
    const first = await start();
    const second = await start({ port: first.port });
    expect(second.port).not.toBe(first.port);
    expect(await ask(second, "PING")).toBe("PONG");
  });

  it("is gone with its temporary directory when it is stopped", async () => {
    const server = await start();
    const pid = server.pid ?? 0;
    await server.stop();
    expect(isRunning(pid)).toBe(false);
    await expect(access(server.directory)).rejects.toThrow("ENOENT");
  });

  it("keeps what it saved in a directory of ours, through a kill", async () => {
    const directory = await mkdtemp(join(tmpdir(), "valkeep-kept-"));
    const first = await start({ directory });
    await ask(first, "SET", "saved", "1");
    await ask(first, "SAVE");
    await ask(first, "SET", "unsaved", "1");
    await first.kill();
    expect(await ask(await start({ directory }), "DBSIZE")).toBe("1");
    await started.at(-1)?.stop();
    await rm(directory, { recursive: true });
  });

  it("that refuses a directive is an error with its reason", async () => {
    await expect(startValkey({ args: ["--no-such-directive", "1"] })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(/no-such-directive|Bad directive/),
    });
  });
});

it("a machine without apt and without a server is told how to get one", { timeout }, async () => {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-cache-"));
  const module = join(import.meta.dirname, "../../infra/local/valkey-server.ts");
  const script = `
    import { findValkey } from ${JSON.stringify(module)};
    await findValkey({ version: "9.1" }).catch((error) => console.log(error.code, error.message));
  `;
  const env = { PATH: "/nonexistent", VALKEEP_CACHE_DIR: directory };
  const answer = await promisify(execFile)(process.execPath, ["--input-type=module-typescript", "-e", script], { env });
  expect(answer.stdout).toMatch(/^UNAVAILABLE no valkey-server 9\.1 found: install valkey-server 9\.1 .* in the PATH/);
  await rm(directory, { recursive: true });
});

describe("the machine's package sources", () => {
  const entry = { uris: "http://mirror.example/debian", suites: ["bookworm"] };

  it("are read in the one-line form, with their keys", () => {
    const text = `
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://mirror.example/debian bookworm main contrib
deb-src http://mirror.example/debian bookworm main
`;
    expect(oneLineSources(text)).toEqual([{ ...entry, options: ["signed-by: /usr/share/keyrings/a.gpg"] }]);
  });

  it("are read as stanzas, with an armoured key in the middle", () => {
    const key = " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEZ\n -----END PGP PUBLIC KEY BLOCK-----";
    const text = `# ours
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm
  bookworm-updates
Components: main
Signed-By:
${key}

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
`;
    expect(deb822Sources(text)).toEqual([
      { uris: entry.uris, suites: ["bookworm", "bookworm-updates"], options: [`signed-by:\n${key}`] },
    ]);
  });
});
