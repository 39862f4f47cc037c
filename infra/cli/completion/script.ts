import { readFileSync } from "node:fs";
import { join } from "node:path";
import { StatusError } from "../../../shared/error.ts";
import { command } from "../command.ts";

const shells = ["bash", "zsh", "fish"] as const;

export const completion = command({
  positionals: {
    SHELL: {
      help: "bash, zsh or fish",
      values: shells,
      read(text) {
        if (shells.some((shell) => shell === text)) return text;
        const shown = JSON.stringify(text.slice(0, 40));
        throw new StatusError("INVALID_ARGUMENT", `unknown shell ${shown}: expected ${shells.join(", ")}`);
      },
    },
  },
  flags: {},
  example: "valkeep completion bash",

  async run({ positionals: { SHELL: shell } }, session) {
    const script = readFileSync(join(import.meta.dirname, `valkeep.${shell}`), "utf8");
    session.print({ shell, script }, script.trimEnd());
  },
});
