// `pnpm test`: builds and checks everything, then runs every suite. A failed check does not hide what the suites say.
// Arguments go to vitest in every package.
//
// Most suites wait for most of their time: for sockets, leases and processes. So packages run beside each other, in lanes of one
// package at a time. After them run those that say within how many milliseconds something happens, the projects named "timed" of
// a package, with nothing beside but what takes no time from them.
import { globSync, readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { runTurbo } from "./runTurbo.js"

/** Where there are not cores enough for all of them, leases and the faults of a tour, which last seconds, go first. */
const first = ["packages/cluster", "apps/demo", "examples"]
const second = ["packages/transport-http", "packages/host", "packages/otel"]
/** They compute, and what they are held to is processor time or virtual time: they take what the timed ones leave. */
const computing = ["packages/core", "packages/sdk-client"]

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

const waiting = await Promise.all([
  lane({ project: "together", filters: only(first), niceness: 0 }),
  lane({ project: "together", filters: only(second), niceness: 5 }),
  lane({ project: "together", filters: allBut([...first, ...second, ...computing]), niceness: 5 })
])
const others = await Promise.all([
  lane({ project: "timed", filters: only(timed), niceness: 0 }),
  lane({ project: "together", filters: only(computing), niceness: 19 })
])

process.exitCode = [checked, ...waiting, ...others].find((code) => code !== 0) ?? 0
