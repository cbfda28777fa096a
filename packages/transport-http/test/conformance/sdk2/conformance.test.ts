/**
 * The conformance suite that knows MCP 2026-07-28 against a backend over HTTP, with the client of SDK 2.x: every client scenario that a
 * revision requires. What it lists as never scored (extensions, scenarios added after a release) is not required by a revision.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Suite from "../suite.ts"

const { judge, passes, run } = Suite.make(
  import.meta.resolve("conformance-next/package.json"),
  Suite.program(new URL("client.ts", import.meta.url))
)

/** How many of a scenario's checks judge something else than the form of what was sent. */
const own = (checks: ReadonlyArray<Suite.Check>) => checks.filter(({ id }) => id !== "wire-schema-valid").length

const authorization = [
  "metadata-default",
  "metadata-var1",
  "metadata-var2",
  "metadata-var3",
  "basic-cimd",
  "scope-from-www-authenticate",
  "scope-from-scopes-supported",
  "scope-omitted-when-undefined",
  "scope-step-up",
  "scope-retry-limit",
  "token-endpoint-auth-basic",
  "token-endpoint-auth-post",
  "token-endpoint-auth-none",
  "pre-registration"
].map((name) => `auth/${name}`)

const required = {
  "2026-07-28": [
    "tools_call",
    "request-metadata",
    ...authorization,
    "auth/resource-mismatch",
    "auth/offline-access-scope",
    "auth/offline-access-not-supported",
    "auth/authorization-server-migration",
    "auth/iss-supported",
    "auth/iss-not-advertised",
    "auth/iss-supported-missing",
    "auth/iss-wrong-issuer",
    "auth/iss-unexpected",
    "auth/iss-normalized",
    "auth/metadata-issuer-mismatch",
    "sep-2322-client-request-state",
    "http-standard-headers",
    "http-custom-headers",
    "http-invalid-tool-headers",
    "json-schema-ref-no-deref"
  ],
  "2025-11-25": ["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry", ...authorization]
} as const

// One after the other: `sse-retry` measures time, and a scenario starts two processes.
for (const [revision, scenarios] of Object.entries(required))
  describe(`the official conformance suite at ${revision}, with the client of SDK 2.x`, () => {
    it("requires no client scenario that is not named here", async () => {
      const { output } = await run(["list", "--client", "--requirements", revision])
      const [, listed = ""] = output.split(/^Client scenarios.*$/m)
      const [named = ""] = listed.split("Run and reported, but never scored")
      assert.sameMembers(
        [...named.matchAll(/^ {2}- (\S+)/gm)].flatMap(([, name]) => name ?? []),
        [...scenarios]
      )
    })

    it("fails a client that does nothing", async () => {
      const { code } = await judge("tools_call", ["--spec-version", revision], `"${process.execPath}" -e 0`)
      assert.notStrictEqual(code, 0)
    })

    it.each(scenarios)("%s", async (scenario) => {
      const checks = await passes(scenario, [], ["--spec-version", revision])
      assert.isAbove(own(checks), 0)
    })
  })
