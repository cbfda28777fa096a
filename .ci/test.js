// `pnpm test`: builds and checks everything, then runs every suite. A failed check does not hide what the suites say.
// Arguments go to vitest in every package.
//
// Suites start servers and wait for them, so that those of a package run several at a time, and what computes takes what they leave of
// the cores. Packages run one after another: two of them that start processes would have each other wait longer than what they
// measure. After all of them run those that say within how many milliseconds something happens, the projects named "timed".
import { globSync, readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { runTurbo } from "./runTurbo.js"

/** They compute, and what they are held to is processor time or virtual time. Not sdk-client: a schema has half a second of real time there. */
const computing = ["packages/core"]

const timed = globSync("{packages,apps}/*/vitest.config.ts")
  .filter((path) => readFileSync(path, "utf8").includes('"timed"'))
  .map((path) => dirname(path))

const tasks = ["build", "lint", "check:format", "check:unused", "check:changesets", "check:workflows", "check"]
const checked = await runTurbo(["run", ...tasks, "--continue=dependencies-successful", "--output-logs=new-only"])

/** Suites start some thousand processes; what one of them has compiled the next ones load. */
const compiled = resolve("node_modules/.cache/compiled")

const only = (packages) => packages.map((path) => `--filter=./${path}`)
const allBut = (packages) => packages.map((path) => `--filter=!./${path}`)

/** Runs the suites of a project, one package at a time. What .ci/summary.js counts is left in files of its name. */
const lane = ({ filters, niceness, project }) =>
  runTurbo(
    [
      "run",
      "test",
      // Everything is built by now; the arguments below would make turbo build it again under another hash.
      "--only",
      "--concurrency=1",
      "--continue=always",
      "--output-logs=new-only",
      ...filters,
      "--",
      `--project=${project === "timed" ? "timed" : "!timed"}`,
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=node_modules/.vitest/${project}.json`,
      ...process.argv.slice(2)
    ],
    { env: { NODE_COMPILE_CACHE: compiled }, niceness }
  )

const together = await Promise.all([
  lane({ project: "together", filters: allBut(computing), niceness: 0 }),
  lane({ project: "together", filters: only(computing), niceness: 19 })
])
const alone = await lane({ project: "timed", filters: only(timed), niceness: 0 })

process.exitCode = [checked, ...together, alone].find((code) => code !== 0) ?? 0
