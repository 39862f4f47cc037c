import { describe, expect, it } from "vitest";
import { replyFailure } from "../../shared/valkey/failure.ts";
import { addressAt } from "./address.ts";

const address = addressAt("10.0.0.5");

describe("an error reply", () => {
  it.each([
    "ERR unknown command 'RESTORE', with args beginning with: 'user:42:secret' '0' 'value' ",
    "ERR unknown command `RESTORE`, with args beginning with: `user:42:secret`, `0`, `value`, ",
    "ERR unknown subcommand 'X'. with args beginning with: 'user:42:secret'",
  ])("that repeats the arguments is told without them: %s", (text) => {
    const { code, message } = replyFailure(address, "RESTORE", text);
    expect([code, message]).toEqual([
      "UNKNOWN",
      expect.stringMatching(/^10\.0\.0\.5:6379 answered RESTORE with: ERR unknown (sub)?command/),
    ]);
    expect(message).not.toMatch(/secret|value/);
  });

  it("is told no further than 200 characters", () => {
    const { message } = replyFailure(address, "EVAL", `ERR ${"x".repeat(1_000)}`);
    expect(message.length).toBeLessThan(250);
  });
});
