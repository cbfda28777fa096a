import { Import } from "@vmcp-keepalive/config"
import { Duration, Effect } from "effect"
import { assert, describe, it } from "vitest"
import { loaded, mistakes, parse, withEnvironment } from "./support.ts"

const url = "http://h/mcp"
const policies = async (...servers: ReadonlyArray<unknown>) => {
  const read = await parse({
    mcpServers: servers.map((server, index) => ({ name: `s${index}`, ...(server as object) }))
  })
  return loaded(read).specs.map(({ policy }) => policy)
}

const imported = (read: typeof Import.vmcp, servers: unknown) =>
  read(JSON.stringify({ mcpServers: servers })).pipe(withEnvironment, Effect.runPromise)

describe("the keys of the vMCP gateway", () => {
  it("keepalive_interval: seconds, 5 to 300", async () => {
    assert.deepStrictEqual(await policies({ url, keepalive_interval: 5 }, { url, keepalive_interval: 300 }), [
      { interval: Duration.seconds(5) },
      { interval: Duration.seconds(300) }
    ])
  })

  it("keepalive_interval left out: the policy says nothing, and so its default of 300 s holds", async () => {
    assert.deepStrictEqual(await policies({ url }), [{}])
  })

  it.each([
    ["ping", "ping"],
    ["none", "none"],
    ["tool:browser_tabs", { method: "tool", tool: { name: "browser_tabs" } }],
    ["tool:a:b c", { method: "tool", tool: { name: "a:b c" } }],
    ["list-tools", "list-tools"],
    ["options", "options"]
  ] as const)("keepalive_method: %s", async (keepalive_method, probe) => {
    assert.deepStrictEqual(await policies({ url, keepalive_method }), [{ probe }])
  })

  it("keepalive_method that it does not know: a mistake, where the gateway took it for ping", async () => {
    assert.lengthOf(mistakes(await parse({ mcpServers: { a: { url, keepalive_method: "heartbeat" } } })), 1)
  })

  it("its numbers, imported: 300 s, 3 failures, a rest of 30 minutes; without a method no probe", async () => {
    const { specs } = await imported(Import.vmcp, {
      a: { url, keepalive_method: "ping", keepalive_interval: 60 },
      b: { url }
    })
    const common = { failureThreshold: 3, circuit: { failures: 1, openFor: "30 minutes" } } as const
    assert.deepStrictEqual(
      specs.map(({ policy }) => policy),
      [
        { ...common, interval: Duration.seconds(60), probe: "ping" },
        { ...common, interval: "300 seconds", probe: "none" }
      ]
    )
  })
})

describe("the keys of the command-line client", () => {
  const one = async (server: unknown) => loaded(await parse({ mcpServers: [server] })).specs[0]!

  it("name: what the list calls the server", async () => {
    assert.strictEqual((await one({ name: "my-mcp-server", url })).id, "my-mcp-server")
  })

  it("url, with type or transport: http", async () => {
    for (const word of [{ type: "http" }, { transport: "http" }, { transport: "streamable-http" }, {}]) {
      assert.strictEqual((await one({ name: "a", url, ...word })).settings.kind, "http")
    }
  })

  it("headers: sent, and never shown", async () => {
    const spec = await one({ name: "a", url, headers: { Authorization: "Bearer my-token" } })
    assert.notInclude(JSON.stringify(spec), "my-token")
    assert(spec.settings.kind === "http")
    assert.deepStrictEqual(Object.keys(spec.settings.headers), ["Authorization"])
  })

  it("enabled: false keeps the server in the file and out of use", async () => {
    assert.isFalse((await one({ name: "a", url, enabled: false })).enabled)
    assert.isTrue((await one({ name: "a", url, enabled: true })).enabled)
    assert.isTrue((await one({ name: "a", url })).enabled)
  })

  it("keepalive_interval out of bounds: a mistake, where the client silently kept nothing alive", async () => {
    for (const keepalive_interval of [4, 301]) {
      assert.lengthOf(mistakes(await parse({ mcpServers: [{ name: "a", url, keepalive_interval }] })), 1)
    }
  })

  it("its numbers, imported: backoff 1 to 300 s, no circuit; without keepalive_interval no probe", async () => {
    const { specs } = await imported(Import.cli, [
      { name: "a", url, keepalive_interval: 30 },
      { name: "b", url }
    ])
    const common = { backoff: { initial: "1 second", factor: 2, cap: "300 seconds" }, circuit: "none" } as const
    assert.deepStrictEqual(
      specs.map(({ policy }) => policy),
      [
        { ...common, interval: Duration.seconds(30) },
        { ...common, interval: "300 seconds", probe: "none" }
      ]
    )
  })
})
