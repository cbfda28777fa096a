/**
 * The official conformance suite against a backend over HTTP: every client scenario that it has, with the client of SDK 1.x.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Suite from "./suite.ts"

const { judge, passes, run } = Suite.make(
  import.meta.resolve("@modelcontextprotocol/conformance/package.json"),
  Suite.program(new URL("client.ts", import.meta.url))
)

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
    const { checks, code } = await judge("tools_call", [], `"${process.execPath}" -e 0`)
    assert.deepStrictEqual(
      checks.map(({ id, status }) => [id, status]),
      [["tool-add-numbers", "FAILURE"]]
    )
    assert.notStrictEqual(code, 0)
  })

  it.each(Object.entries({ ...protocol, ...authorization }))("%s", async (scenario, ids) => {
    await passes(scenario, ids)
  })
})
