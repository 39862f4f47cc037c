import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSecrets } from "../shared/secret.ts";

describe("a reference to a secret", () => {
  let root: string;
  let directory: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "valkeep-secret-"));
    directory = join(root, "secrets");
    await mkdir(join(directory, "team"), { recursive: true });
    await writeFile(join(root, "outside"), "hunter2");
    await writeFile(join(root, "secrets-too"), "hunter2");
    for (const [name, text] of Object.entries({
      plain: "s3cret",
      line: "s3cret\n",
      crlf: "s3cret\r\n",
      "team/a": " x \n\n",
    }))
      await writeFile(join(directory, name), text);
    await symlink(join(root, "outside"), join(directory, "escape"));
    await symlink(join(directory, "plain"), join(directory, "alias"));
    await symlink(root, join(directory, "up"));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  const resolve = (reference: string, isLocal = true): Promise<string> =>
    createSecrets({ isLocal, directory, environment: { ORDERS: "hunter2", EMPTY: "", GONE: undefined } })(reference);

  it.each([
    ["env:ORDERS", "hunter2"],
    ["env:EMPTY", ""],
    ["file:plain", "s3cret"],
    ["file:line", "s3cret"],
    ["file:crlf", "s3cret"],
    ["file:team/a", " x \n"],
    ["file:./plain", "s3cret"],
    ["file:alias", "s3cret"],
  ])("%s is the secret", async (reference, secret) => {
    expect(await resolve(reference)).toBe(secret);
  });

  it("that is not there says where it was looked for", async () => {
    await expect(resolve("file:team/b")).rejects.toThrow(`there is no such file under ${directory}: put it there`);
  });

  it.each([
    ["env:NOWHERE", "NOT_FOUND"],
    ["env:GONE", "NOT_FOUND"],
    ["env:toString", "NOT_FOUND"],
    ["file:nowhere", "NOT_FOUND"],
    ["file:plain/nowhere", "NOT_FOUND"],
    ["file:team", "FAILED_PRECONDITION"],
    ["file:../outside", "INVALID_ARGUMENT"],
    ["file:team/../../outside", "INVALID_ARGUMENT"],
    ["file:team/../plain", "INVALID_ARGUMENT"],
    ["file:../secrets-too", "INVALID_ARGUMENT"],
    ["file:/etc/passwd", "INVALID_ARGUMENT"],
    ["file:escape", "INVALID_ARGUMENT"],
    ["file:up/outside", "INVALID_ARGUMENT"],
    ["file:up", "INVALID_ARGUMENT"],
    ["file:.", "INVALID_ARGUMENT"],
    ["file:a\0b", "INVALID_ARGUMENT"],
    ["file:", "INVALID_ARGUMENT"],
    ["env:", "INVALID_ARGUMENT"],
    ["hunter2", "INVALID_ARGUMENT"],
    ["", "INVALID_ARGUMENT"],
    ["projects/p/secrets/s", "INVALID_ARGUMENT"],
  ])("%j is %s", async (reference, code) => {
    await expect(resolve(reference)).rejects.toEqual(expect.objectContaining({ code }));
  });

  it("is named in the error when it is missing", async () => {
    await expect(resolve("file:team/nowhere")).rejects.toThrow(/file:team\/nowhere/);
  });

  it("that is a password by mistake is not shown", async () => {
    await expect(resolve("hunter2")).rejects.not.toThrow(/hunter2/);
  });

  it.each(["env:ORDERS", "file:plain"])("%s means nothing outside of the local stack", async (reference) => {
    await expect(resolve(reference, false)).rejects.toEqual(expect.objectContaining({ code: "FAILED_PRECONDITION" }));
  });
});
