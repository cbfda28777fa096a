import { Import } from "@vmcp-keepalive/config"
import { Duration, Effect, Redacted } from "effect"
import { assert, describe, it } from "vitest"
import { loaded, mistakes, withEnvironment } from "./support.ts"

const read = (effect: ReturnType<typeof Import.toolhive>) =>
  effect.pipe(withEnvironment, Effect.result, Effect.runPromise)

const toolhive = `
name: my-vmcp
groupRef: my-group
backends:
  - name: github
    url: https://github.example.com/mcp
    transport: streamable-http
  - name: fetch
    url: http://fetch:8080/mcp
    transport: streamable-http
outgoingAuth:
  source: inline
  backends:
    github:
      type: header_injection
      headerInjection: { headerName: Authorization, headerValueEnv: TOKEN }
    fetch: { type: unauthenticated }
aggregation:
  tools: [{ workload: fetch, filter: [fetch_url] }]
operational:
  failureHandling:
    healthCheckInterval: 1m30s
    unhealthyThreshold: 4
    healthCheckTimeout: 500ms
    partialFailureMode: best_effort
    circuitBreaker: { enabled: true, failureThreshold: 7, timeout: 45s }
`

describe("toolhive's file", () => {
  it("is read with its health checks, its circuit breaker, its headers and its filters", async () => {
    const { specs, warnings } = loaded(await read(Import.toolhive(toolhive)))
    assert.deepStrictEqual(warnings, [])
    const policy = {
      interval: Duration.seconds(90),
      failureThreshold: 4,
      timeout: Duration.millis(500),
      circuit: { failures: 7, openFor: Duration.seconds(45) }
    }
    assert.deepStrictEqual(
      specs.map((spec) => ({ id: spec.id, policy: spec.policy, include: spec.tools.include })),
      [
        { id: "github", policy, include: undefined },
        { id: "fetch", policy, include: ["fetch_url"] }
      ]
    )
    const [github] = specs.map(({ settings }) => (settings.kind === "http" ? settings.headers : {}))
    assert.strictEqual(Redacted.value(github!["Authorization"]!), "PLANTED-SECRET-1")
  })

  it("means the value of a header as it stands there: toolhive knows no references", async () => {
    const text = toolhive.replace("headerValueEnv: TOKEN", 'headerValue: "a${TOKEN}b${"')
    const { specs } = loaded(await read(Import.toolhive(text)))
    const [github] = specs.map(({ settings }) => (settings.kind === "http" ? settings.headers : {}))
    assert.strictEqual(Redacted.value(github!["Authorization"]!), "a${TOKEN}b${")
  })

  it("has toolhive's defaults where it says nothing: 30 s, 3 failures, no circuit breaker", async () => {
    const { specs } = loaded(
      await read(Import.toolhive("backends: [{ name: a, url: http://a/mcp, transport: streamable-http }]"))
    )
    assert.deepStrictEqual(
      specs.map(({ policy }) => policy),
      [{ interval: Duration.seconds(30), failureThreshold: 3, circuit: "none" }]
    )
  })

  it("may be a resource of Kubernetes", async () => {
    const resource = `kind: VirtualMCPServer\nspec:\n  config:\n${toolhive.replaceAll(/^/gm, "    ")}`
    assert.lengthOf(loaded(await read(Import.toolhive(resource))).specs, 2)
  })

  it("names all of its mistakes, by line, and nothing of its values", async () => {
    const bad = toolhive
      .replace("1m30s", "often")
      .replace("threshold: 4", "threshold: 4")
      .replace("unhealthyThreshold: 4", "unhealthyThreshold: 0")
      .replace("best_effort", "never")
      .replace("enabled: true", "enabled: yes please")
      .replace("transport: streamable-http", "transport: sse")
      .replace("TOKEN", "NOPE")
    assert.deepStrictEqual(
      mistakes(await read(Import.toolhive(bad))).map((line) => line.replace(/:\d+ /, " ")),
      [
        "7 backends.0.transport: expected http or stdio: there is no transport for sse",
        "16 outgoingAuth.backends.github.headerInjection.headerValueEnv: expected the variable NOPE to be set in the environment",
        "22 operational.failureHandling.healthCheckInterval: expected a duration above zero as Go writes it, such as 30s or 1m30s",
        "23 operational.failureHandling.unhealthyThreshold: expected a whole number of at least 1",
        "25 operational.failureHandling.partialFailureMode: expected fail or best_effort",
        "26 operational.failureHandling.circuitBreaker.enabled: expected true or false"
      ]
    )
  })

  it("says what has no counterpart: credentials of another kind", async () => {
    const text = toolhive.replace("fetch: { type: unauthenticated }", "fetch: { type: token_exchange }")
    const { warnings } = loaded(await read(Import.toolhive(text)))
    assert.deepStrictEqual(
      warnings.map(({ path }) => path.join(".")),
      ["outgoingAuth.backends.fetch.type"]
    )
  })

  it.each([
    ["fail", [true, true]],
    ["best_effort", [undefined, undefined]]
  ])("partialFailureMode: %s: whether the host is ready without one of them", async (mode, required) => {
    const { specs, warnings } = loaded(await read(Import.toolhive(toolhive.replace("best_effort", mode))))
    assert.deepStrictEqual(
      specs.map(({ policy }) => policy.required),
      required
    )
    assert.deepStrictEqual(warnings, [])
  })

  it("must list its backends: those that Kubernetes knows cannot be known here", async () => {
    assert.match(mistakes(await read(Import.toolhive("groupRef: g")))[0] ?? "", /backends: expected a list of backends/)
  })
})
