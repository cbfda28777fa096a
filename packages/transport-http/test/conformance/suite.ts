/** A version of the official conformance suite: it starts a server, runs a client against it, and judges what it saw. */
import { afterAll, assert } from "@effect/vitest"
import { execFile } from "node:child_process"
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** What it says of one thing that it looks at. */
export interface Check {
  readonly id: string
  readonly status: "SUCCESS" | "FAILURE" | "WARNING" | "SKIPPED" | "INFO"
  readonly errorMessage?: string
}

/** A program as the client under test. */
export const program = (url: URL): string => `"${process.execPath}" "${fileURLToPath(url)}"`

/** The suite whose package.json that is, with a client of ours. */
export const make = (manifest: string, client: string) => {
  const script = join(dirname(fileURLToPath(manifest)), "dist/index.js")
  const directory = mkdtempSync(join(tmpdir(), "vmcp-conformance-"))
  afterAll(() => rmSync(directory, { recursive: true }))

  const compiled = process.env["NODE_COMPILE_CACHE"] ?? join(directory, "compiled")

  /** Runs the suite; what two dozen processes compile, they compile once. */
  const run = (args: ReadonlyArray<string>) =>
    promisify(execFile)(process.execPath, ["--no-deprecation", script, ...args], {
      env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: compiled },
      timeout: 50_000
    }).then(
      ({ stderr, stdout }) => ({ code: 0, output: stdout + stderr }),
      (error: { code: number; stdout: string; stderr: string }) => ({
        code: error.code,
        output: error.stdout + error.stderr
      })
    )

  /** Runs a scenario; the exit code of the suite, and the checks that judged something. */
  const judge = async (scenario: string, options: ReadonlyArray<string> = [], command = client) => {
    const results = mkdtempSync(join(directory, "results-"))
    const { code, output } = await run([
      "client",
      "--command",
      command,
      "--scenario",
      scenario,
      "-o",
      results,
      ...options
    ])
    const checks = globSync(join(results, "**/checks.json")).flatMap((path): ReadonlyArray<Check> =>
      JSON.parse(readFileSync(path, "utf8"))
    )
    return { code, output, checks: checks.filter(({ status }) => status !== "INFO") }
  }

  /**
   * The scenario passes, and has checked these: one that checks nothing passes too. What the suite skips there is nothing to judge of in the
   * revision, such as the headers of `initialize` where there is none.
   */
  const passes = async (scenario: string, ids: ReadonlyArray<string>, options?: ReadonlyArray<string>) => {
    let judged = await judge(scenario, options)
    // A reconnection that comes late tells of this machine, not of the client; one that comes early is a failure.
    for (let more = 2; more > 0 && judged.checks.some(isLate); more--) judged = await judge(scenario, options)
    const { checks, code, output } = judged
    assert.deepStrictEqual(
      checks.filter(({ status }) => status !== "SUCCESS" && status !== "SKIPPED"),
      [],
      output
    )
    assert.includeMembers(
      checks.map(({ id }) => id),
      [...ids],
      output
    )
    assert.strictEqual(code, 0, output)
    return checks.filter(({ status }) => status === "SUCCESS")
  }

  return { run, judge, passes }
}

const isLate = ({ id, status }: Check) => id === "client-sse-retry-timing" && status === "WARNING"
