import { Equal } from "effect"
import { assert, describe, it } from "vitest"
import { environment, loaded, parse, secret } from "./support.ts"

const http = { url: "http://h/mcp?key=${TOKEN}", headers: { A: "Bearer ${TOKEN}", B: secret }, keepalive_interval: 30 }
const stdio = {
  command: "${HOME}/x",
  args: ["-y", "${TOKEN}"],
  env: { A: secret },
  cwd: "${HOME}",
  keepalive: { probe: { method: "tool", tool: { name: "t", arguments: { a: [1] } } } }
}

const one = async (entry: unknown) => loaded(await parse({ mcpServers: { a: entry } })).specs[0]!

describe("a spec", () => {
  it.each([
    ["http", http],
    ["stdio", stdio]
  ])("%s: is equal to another of the same content, part by part", async (_kind, entry) => {
    const [a, b] = [await one(entry), await one(entry)]
    assert.notStrictEqual(a, b)
    assert.isTrue(Equal.equals(a, b))
    assert.isTrue(Equal.equals(a.settings, b.settings))
    assert.isTrue(Equal.equals(a.policy, b.policy))
  })

  it("of which a secret is another one is not equal, though it looks the same in JSON", async () => {
    const [a, b] = [await one(http), await one({ ...http, headers: { ...http.headers, B: "rotated" } })]
    assert.strictEqual(JSON.stringify(a), JSON.stringify(b))
    assert.isFalse(Equal.equals(a, b))
    assert.isFalse(Equal.equals(a.settings, b.settings))
    assert.isTrue(Equal.equals(a.policy, b.policy))
  })

  it.each([
    ["the interval", { ...http, keepalive_interval: 31 }],
    ["the method", { ...http, keepalive_method: "ping" }]
  ])("of which %s alone is another has the same settings", async (_what, entry) => {
    const [a, b] = [await one(http), await one(entry)]
    assert.isFalse(Equal.equals(a, b))
    assert.isTrue(Equal.equals(a.settings, b.settings))
    assert.isFalse(Equal.equals(a.policy, b.policy))
  })

  it.each([
    ["an argument", { ...stdio, args: ["-y", "x"] }],
    ["the directory", { ...stdio, cwd: "/" }],
    ["a variable", { ...stdio, env: { A: "x" } }],
    ["the command", { ...stdio, command: "x" }]
  ])("of which %s is another has the same policy", async (_what, entry) => {
    const [a, b] = [await one(stdio), await one(entry)]
    assert.isFalse(Equal.equals(a.settings, b.settings))
    assert.isTrue(Equal.equals(a.policy, b.policy))
  })

  it("shows no secret, of the environment or of a header, variable or query, in JSON or as text", async () => {
    for (const entry of [http, stdio]) {
      const spec = await one(entry)
      const shown = JSON.stringify(spec) + String(spec)
      for (const value of [...Object.values(environment).filter((each) => each !== ""), secret])
        assert.notInclude(shown, value)
    }
  })
})
