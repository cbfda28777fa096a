/**
 * The official conformance suite against a backend over HTTP: every client scenario that it has. It starts a server, runs
 * `client.ts` against it, and judges what it saw.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const require = createRequire(import.meta.url)
const suite = join(dirname(require.resolve("@modelcontextprotocol/conformance/package.json")), "dist/index.js")
const client = `"${process.execPath}" "${fileURLToPath(new URL("client.ts", import.meta.url))}"`

const directory = mkdtempSync(join(tmpdir(), "vmcp-conformance-"))
afterAll(() => rmSync(directory, { recursive: true }))

/** Runs the suite; what two dozen processes compile, they compile once. */
const run = (args: ReadonlyArray<string>) =>
  promisify(execFile)(process.execPath, ["--no-deprecation", suite, ...args], {
    env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: join(directory, "compiled") },
    timeout: 50_000
  }).then(
    ({ stderr, stdout }) => ({ code: 0, output: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      output: error.stdout + error.stderr
    })
  )

interface Check {
  readonly id: string
  readonly status: "SUCCESS" | "FAILURE" | "WARNING" | "SKIPPED" | "INFO"
  readonly errorMessage?: string
}

/** Runs a scenario; the exit code of the suite, and the checks that judged something. */
const judge = async (scenario: string, command = client) => {
  const results = mkdtempSync(join(directory, "results-"))
  const { code, output } = await run(["client", "--command", command, "--scenario", scenario, "-o", results])
  const checks = globSync(join(results, "**/checks.json")).flatMap((path): ReadonlyArray<Check> =>
    JSON.parse(readFileSync(path, "utf8"))
  )
  return { code, output, checks: checks.filter(({ status }) => status !== "INFO") }
}

const passes = async (scenario: string, ids: ReadonlyArray<string>) => {
  let judged = await judge(scenario)
  // A reconnection that comes late tells of this machine, not of the client; one that comes early is a failure.
  for (let more = 2; more > 0 && judged.checks.some(isLate); more--) judged = await judge(scenario)
  const { checks, code, output } = judged
  assert.deepStrictEqual(
    checks.filter(({ status }) => status !== "SUCCESS"),
    [],
    output
  )
  assert.includeMembers(
    checks.map(({ id }) => id),
    [...ids],
    output
  )
  assert.strictEqual(code, 0, output)
}

const isLate = ({ id, status }: Check) => id === "client-sse-retry-timing" && status === "WARNING"

/** What each scenario has to have checked: one that checks nothing passes too. */
const protocol: Readonly<Record<string, ReadonlyArray<string>>> = {
  initialize: ["mcp-client-initialization"],
  tools_call: ["tool-add-numbers"],
  "sse-retry": ["client-sse-graceful-reconnect", "client-sse-retry-timing", "client-sse-last-event-id"],
  "elicitation-sep1034-client-defaults": ["client-elicitation-sep1034-string-default"]
}

const authorization: Readonly<Record<string, ReadonlyArray<string>>> = {
  "auth/metadata-var3": ["valid-bearer-token"],
  "auth/scope-step-up": ["scope-step-up-initial", "scope-step-up-escalation"],
  "auth/scope-retry-limit": ["scope-retry-limit"],
  "auth/pre-registration": ["pre-registration-auth"],
  "auth/client-credentials-basic": ["valid-bearer-token"],
  "auth/cross-app-access-complete-flow": ["complete-flow-jwt-bearer", "valid-bearer-token"],
  // where only the SDK's half of it differs
  "auth/metadata-default": ["valid-bearer-token"],
  "auth/metadata-var1": ["valid-bearer-token"],
  "auth/metadata-var2": ["valid-bearer-token"],
  "auth/basic-cimd": ["cimd-client-id-used"],
  "auth/scope-from-www-authenticate": ["valid-bearer-token"],
  "auth/scope-from-scopes-supported": ["valid-bearer-token"],
  "auth/scope-omitted-when-undefined": ["valid-bearer-token"],
  "auth/token-endpoint-auth-basic": ["valid-bearer-token"],
  "auth/token-endpoint-auth-post": ["valid-bearer-token"],
  "auth/token-endpoint-auth-none": ["valid-bearer-token"],
  "auth/2025-03-26-oauth-metadata-backcompat": ["valid-bearer-token"],
  "auth/2025-03-26-oauth-endpoint-fallback": ["valid-bearer-token"],
  "auth/resource-mismatch": [],
  "auth/offline-access-scope": ["valid-bearer-token"],
  "auth/offline-access-not-supported": ["valid-bearer-token"],
  "auth/client-credentials-jwt": ["valid-bearer-token"]
}

// One after the other: `sse-retry` measures time, and a scenario starts two processes.
describe("the official conformance suite", () => {
  it("has no client scenario that is not named here", async () => {
    const { output } = await run(["list", "--client"])
    const listed = [...output.matchAll(/^ {2}- (\S+)/gm)].flatMap(([, name]) => name ?? [])
    assert.sameMembers(listed, Object.keys({ ...protocol, ...authorization }))
  })

  it("fails a client that does nothing", async () => {
    const { checks, code } = await judge("tools_call", `"${process.execPath}" -e 0`)
    assert.deepStrictEqual(
      checks.map(({ id, status }) => [id, status]),
      [["tool-add-numbers", "FAILURE"]]
    )
    assert.notStrictEqual(code, 0)
  })

  it.each(Object.entries({ ...protocol, ...authorization }))("%s", (scenario, ids) => passes(scenario, ids))
})
