import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startFirestore, startPubsub } from "../../infra/local/emulators.ts";
import { findJar, findJava } from "../../infra/local/java.ts";

const jar = {
  name: "Pub/Sub",
  component: "pubsub-emulator",
  sdk: { folder: "platform/pubsub-emulator/lib", pattern: /^pubsub-.*\.jar$/ },
  firebase: { folder: /^pubsub-[\d.]+$/, under: "lib", pattern: /^pubsub-.*\.jar$/ },
  setup: "setup:emulators:pubsub",
};

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-java-"));
  vi.stubEnv("PATH", join(directory, "bin"));
  vi.stubEnv("JAVA_HOME", undefined);
  vi.stubEnv("FIREBASE_EMULATORS_PATH", join(directory, "cache"));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

async function put(path: string, text = ""): Promise<string> {
  const file = join(directory, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  await chmod(file, 0o755);
  return file;
}

describe("an emulator's jar", () => {
  it("is found in the Google Cloud SDK, whose command is in the PATH", async () => {
    const found = await put("platform/pubsub-emulator/lib/pubsub-1.jar");
    await put("bin/gcloud");
    expect(await findJar(jar)).toBe(found);
  });

  it("is the newest one in the Firebase CLI's cache where the SDK has none", async () => {
    await put("cache/pubsub-0.8.9/lib/pubsub-0.8.9.jar");
    const newest = await put("cache/pubsub-0.8.14/lib/pubsub-0.8.14.jar");
    expect(await findJar(jar)).toBe(newest);
  });

  it("that is nowhere is told how to get", async () => {
    await expect(findJar(jar)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(
        /gcloud components install pubsub-emulator.*npx firebase-tools setup:emulators:pubsub/,
      ),
    });
  });
});

describe("Java", () => {
  it("of an age that the emulators take is used", async () => {
    const java = await put("bin/java", "#!/bin/sh\necho 'openjdk version \"17.0.15\" 2025-04-15' >&2\n");
    expect(await findJava()).toBe(java);
  });

  it("that is too old is refused by its version", async () => {
    await put("bin/java", "#!/bin/sh\necho 'java version \"1.8.0_292\"' >&2\n");
    await expect(findJava()).rejects.toThrow(/need Java 11 or newer, found Java 1\.8\.0_292: install/);
  });

  it("that is missing is told", async () => {
    await expect(findJava()).rejects.toThrow(/need Java 11 or newer, found no java in the PATH: install/);
  });
});

it.each([
  ["FIRESTORE_EMULATOR_HOST", startFirestore],
  ["PUBSUB_EMULATOR_HOST", startPubsub],
])("an emulator that %s names and nobody runs is told", async (variable, start) => {
  vi.stubEnv(variable, "127.0.0.1:1");
  await expect(start({ port: 0 })).rejects.toThrow(
    `${variable} is 127.0.0.1:1, and nothing answers there: start it or unset ${variable}`,
  );
});
