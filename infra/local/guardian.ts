import { spawn } from "node:child_process";
import type { Writable } from "node:stream";

/**
 * A shell that outlives us by a moment: it notes "+ GROUP" and "- GROUP" from its standard input, and when that ends,
 * as it also does when we are killed by SIGKILL, it kills every process group still noted.
 */
const script = `
groups=" "
while read -r sign group; do
  case "$sign" in
    +) groups="$groups$group " ;;
    -) case "$groups" in *" $group "*) groups="\${groups%% $group *} \${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
`;

let input: Writable | undefined;

/** From now on the process group does not outlive this process, however this process ends. */
export function guard(group: number): void {
  input ??= startGuardian();
  input.write(`+ ${group}\n`);
}

/** The group has ended by itself; its number may soon belong to someone else. */
export function unguard(group: number): void {
  input?.write(`- ${group}\n`);
}

/** In a session of its own, so that a Ctrl-C at the terminal ends us and not the guardian; never keeps us alive. */
function startGuardian(): Writable {
  const guardian = spawn("/bin/sh", ["-c", script], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  guardian.unref();
  const { stdin } = guardian;
  // A guardian that was killed guards nothing, and that must not end us: EPIPE is its only possible complaint.
  stdin.on("error", () => {
    input = undefined;
  });
  if ("unref" in stdin && typeof stdin.unref === "function") stdin.unref();
  return stdin;
}
