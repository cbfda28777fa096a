// `pnpm demo`: builds what the demo needs and becomes the demo. Everything before the program's own first line goes to
// stderr, so that stdout is the program's alone. The program runs in this very process: its arguments, its exit code and
// Ctrl-C need no passing on.
import { runTurbo } from "./runTurbo.js"

const stderr = 2
const built = await runTurbo(["run", "build", "--filter=./apps/demo", "--output-logs=errors-only"], { stdout: stderr })
if (built === 0) {
  await import("../apps/demo/dist/main.js")
} else {
  process.exitCode = built
}
