import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Disk, finishReplacement, forgetFolder, replaceFolder } from "../../infra/local/replacement.ts";

const files = ["a", "b", "c"];
let directory: string;
let folder: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-replacement-"));
  folder = join(directory, "state");
});

afterEach(async () => await rm(directory, { recursive: true }));

const writing = (text: string) => async (draft: string) => {
  await mkdir(draft);
  for (const file of files) await writeFile(join(draft, file), text);
};

/** What a start finds: the text that all files of a whole folder hold. */
async function found(): Promise<string | undefined> {
  if (!(await finishReplacement(folder))) return undefined;
  expect((await readdir(folder)).toSorted()).toEqual(files);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  expect(new Set(texts).size).toBe(1);
  return texts[0];
}

const moments = ["before", "amid", "after"] as const;

/** A disk whose user is killed at its call of this number, from 1 on: before it, after it, or, of a removal, amid it. */
function deadly(number: number, moment: (typeof moments)[number]): Disk & { isDead: boolean } {
  let calls = 0;
  const disk = { isDead: false, rename: dying(rename), rm: dying(rm) };
  function dying<T extends (...args: never[]) => Promise<void>>(call: T): T {
    return (async (...args: Parameters<T>) => {
      if (++calls !== number) return call(...args);
      disk.isDead = true;
      if (moment === "after") await call(...args);
      if (moment === "amid" && (call as unknown) === rm) await rm(join(String(args[0]), "b"), { force: true });
      throw new Error("killed");
    }) as T;
  }
  return disk;
}

/** Kills whoever does it at each of its calls in turn, and hands each outcome over. */
async function eachDeath(
  prepare: () => Promise<void>,
  act: (disk: Disk) => Promise<void>,
  judge: () => Promise<void>,
): Promise<number> {
  let deaths = 0;
  for (let number = 1; ; number++) {
    for (const moment of moments) {
      await rm(directory, { recursive: true });
      await mkdir(directory);
      await prepare();
      const disk = deadly(number, moment);
      await act(disk).catch((error: Error) => expect(error.message).toBe("killed"));
      if (!disk.isDead) return deaths;
      deaths++;
      await judge();
    }
  }
}

describe("a folder that is replaced", () => {
  it("is the new one afterwards, and nothing is left beside it", async () => {
    await replaceFolder(folder, writing("old"));
    await replaceFolder(folder, writing("new"));
    expect(await found()).toBe("new");
    expect(await readdir(directory)).toEqual(["state"]);
  });

  it("is the former one while the new one is only half written", async () => {
    await replaceFolder(folder, writing("old"));
    const half = async (draft: string) => {
      await mkdir(draft);
      await writeFile(join(draft, "a"), "new");
      throw new Error("killed");
    };
    await expect(replaceFolder(folder, half)).rejects.toThrow("killed");
    expect(await found()).toBe("old");
    await replaceFolder(folder, writing("new"));
    expect(await found()).toBe("new");
  });

  it("is the former or the new one wherever the replacement is killed, and can be replaced again", async () => {
    const outcomes = new Set<string | undefined>();
    const deaths = await eachDeath(
      () => replaceFolder(folder, writing("old")),
      (disk) => replaceFolder(folder, writing("new"), disk),
      async () => {
        outcomes.add(await found());
        await replaceFolder(folder, writing("newest"));
        expect(await found()).toBe("newest");
      },
    );
    expect(deaths).toBe(12);
    expect(outcomes).toEqual(new Set(["old", "new"]));
  });

  it("is the new one wherever the end of a killed replacement is killed in turn", async () => {
    const deaths = await eachDeath(
      async () => {
        await replaceFolder(folder, writing("old"));
        await writing("new")(`${folder}.whole`);
      },
      async (disk) => void (await finishReplacement(folder, disk)),
      async () => expect(await found()).toBe("new"),
    );
    expect(deaths).toBe(6);
  });

  it("is gone when it is forgotten, and wherever that is killed it is whole or gone", async () => {
    const deaths = await eachDeath(
      async () => {
        await replaceFolder(folder, writing("old"));
        await writing("new")(`${folder}.whole`);
      },
      (disk) => forgetFolder(folder, disk),
      async () => {
        expect(["old", "new", undefined]).toContain(await found());
        await forgetFolder(folder);
        expect(await readdir(directory)).toEqual([]);
      },
    );
    expect(deaths).toBe(15);
  });
});
