// `pnpm test`: builds and checks everything, then runs every suite. A failed check does not hide what the suites say.
// Suites run one after another: they start servers and measure time, and would disturb each other on a small machine.
// Arguments go to vitest in every package.
import { runTurbo } from "./runTurbo.js"

const tasks = ["build", "lint", "check:format", "check:unused", "check:changesets", "check:workflows", "check"]
const checked = runTurbo(["run", ...tasks, "--continue=dependencies-successful", "--output-logs=new-only"])

// The file is what .ci/summary.js counts.
const reporters = ["--reporter=default", "--reporter=json", "--outputFile.json=node_modules/.vitest/results.json"]
const tested = runTurbo([
  "run",
  "test",
  // Everything is built by now; the arguments below would make turbo build it again under another hash.
  "--only",
  "--concurrency=1",
  "--continue=always",
  "--output-logs=new-only",
  "--",
  ...reporters,
  ...process.argv.slice(2)
])

process.exitCode = checked || tested
