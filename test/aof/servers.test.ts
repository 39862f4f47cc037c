import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { findValkey } from "../../infra/local/valkey-programs.ts";
import { parseManifest } from "../../shared/aof/manifest.ts";
import { StatusError } from "../../shared/error.ts";
import { entry, log, preamble, readAll } from "./files.ts";
import { aofOf, versions } from "./written.ts";

describe.each(versions)("what %s writes", (version) => {
  it.each(["yes", "no"] as const)("is read whole, with aof-use-rdb-preamble %s", {
    timeout: 60_000,
  }, async (preambled) => {
    const { directory, dispose } = await aofOf(version, preambled);
    try {
      const name = (await readdir(directory)).find((file) => file.endsWith(".manifest")) ?? "";
      const { base, increments } = parseManifest(await readFile(join(directory, name)));
      const first = readAll([await readFile(join(directory, base?.fileName ?? ""))]);
      expect(first.base === undefined).toBe(preambled === "no");
      expect(first.base?.keys ?? first.log?.commands).toBeGreaterThan(0);
      expect(increments).toHaveLength(1);
      const file = await readFile(join(directory, increments[0]?.fileName ?? ""));
      const { log: found } = readAll([file]);
      expect(found).toMatchObject({ endOffset: file.length, databases: [0, 3], transactions: expect.any(Number) });
      expect(found?.transactions).toBeGreaterThanOrEqual(2);
      expect(found?.refused).toBeUndefined();
      expect(found?.lastTime).toBeGreaterThan(Date.now() / 1000 - 60);
    } finally {
      await dispose();
    }
  });
});

describe("a torn tail", async () => {
  const { checkAof } = await findValkey({ version: "8.0" });
  const directory = await mkdtemp(join(tmpdir(), "valkeep-aof-"));
  afterAll(async () => await rm(directory, { recursive: true, force: true }));

  /** What `valkey-check-aof` says is well up to there. */
  async function okUpTo(file: Uint8Array): Promise<number> {
    const path = join(directory, "torn.aof");
    await writeFile(path, file);
    const [program = "", ...args] = [...checkAof, path];
    const output = await new Promise<string>((resolve) => execFile(program, args, (_, stdout) => resolve(stdout)));
    return Number(/ok_up_to=(\d+)/.exec(output)?.[1] ?? file.length);
  }

  it("is what valkey-check-aof would cut, wherever the file ends", { timeout: 60_000 }, async () => {
    const file = Buffer.concat([
      preamble(2),
      Buffer.from("#TS:1700000000\r\n"),
      log("SELECT 0", "SET a 1"),
      log("MULTI", "INCR n", "EXEC"),
      entry("SET", "", "x\r\n*1\r\n"),
    ]);
    const remarkEnd = preamble(2).length + 16;
    for (let end = preamble(2).length + 1; end <= file.length; end += 1) {
      // A remark that was cut is none that check-aof minds; the next server would write its command right behind it.
      if (end < remarkEnd) continue;
      const cut = file.subarray(0, end);
      expect(readAll([cut]).log?.endOffset, `cut at ${end}`).toBe(await okUpTo(cut));
    }
  });

  it("is damage where something follows it, from where valkey-check-aof would cut all", async () => {
    const torn = Buffer.concat([log("SET a 1"), log("SET b 2").subarray(0, -4), log("SET c 3")]);
    expect(await okUpTo(torn)).toBe(log("SET a 1").length);
    expect(() => readAll([torn])).toThrow(StatusError);
  });
});
