/** What stands between a file and a transport: data alone, which fits without either knowing the other. */
import type { BackendSpec } from "@vmcp-keepalive/config"
import { Fleet } from "@vmcp-keepalive/core"
import type { HttpTransport } from "@vmcp-keepalive/transport-http"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import type { StdioTransport } from "@vmcp-keepalive/transport-stdio"
import { Peer, StdioPeerTransport } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect, Layer, Redacted } from "effect"
import { assert, describe, expectTypeOf, it } from "vitest"

const transports = Layer.mergeAll(HttpPeerTransport.layer(), StdioPeerTransport.layer())

/** The fleet's answer to one spec. */
const answer = (settings: Fleet.Spec["settings"], layer = transports) =>
  Effect.gen(function* () {
    const fleet = yield* Fleet.make<Peer.Peer>()
    return yield* fleet.apply([{ id: "a", settings, policy: { connect: "lazy" } }])
  }).pipe(
    Effect.match({ onSuccess: () => "taken", onFailure: ({ message }) => message }),
    Effect.provide(layer),
    Effect.scoped,
    Effect.runPromise
  )

describe("what a file says of a backend", () => {
  it("is what a fleet and the transports take", () => {
    expectTypeOf<BackendSpec.BackendSpec>().toExtend<Fleet.Spec>()
    expectTypeOf<BackendSpec.HttpSettings>().toExtend<HttpTransport.HttpSettings>()
    expectTypeOf<BackendSpec.StdioSettings>().toExtend<StdioTransport.StdioSettings>()
  })
})

describe("settings", () => {
  const secret = "PLANTED"
  const url = Redacted.make(`http://127.0.0.1:9/mcp?key=${secret}`)

  it.each<readonly [string, object]>([
    ["http, redacted", { kind: "http", url, headers: { authorization: Redacted.make(secret) } }],
    ["http, plain, and what the transport does not know", { kind: "http", url: "http://h/mcp", other: 1 }],
    ["stdio, redacted", { kind: "stdio", command: Redacted.make(process.execPath), args: [Redacted.make(secret)] }],
    ["stdio, plain", { kind: "stdio", command: process.execPath, env: { A: "1" }, cwd: "/" }]
  ])("%s: are taken", async (_what, settings) => {
    assert.strictEqual(await answer(settings as Fleet.Spec["settings"]), "taken")
  })

  it.each<readonly [string, object]>([
    ["http without a URL", { kind: "http" }],
    ["http with a header that is no text", { kind: "http", url, headers: { a: 1 } }],
    ["http with a URL that is redacted and no text", { kind: "http", url: Redacted.make(1) }],
    ["stdio without a command", { kind: "stdio", args: [] }],
    ["stdio with arguments that are no list", { kind: "stdio", command: "node", args: "x" }],
    ["stdio with a variable that is no text", { kind: "stdio", command: "node", env: { A: 1 } }]
  ])("%s: are not of the shape of their kind", async (_what, settings) => {
    assert.include(await answer(settings as Fleet.Spec["settings"]), "what the transport of its kind expects")
  })

  it.each<readonly [string, object]>([
    ["a URL that is none", { kind: "http", url: Redacted.make(`nowhere ${secret}`) }],
    ["a header that HTTP does not allow", { kind: "http", url, headers: { a: Redacted.make(`${secret}\nx`) } }],
    ["a header of the protocol's own", { kind: "http", url, headers: { "Mcp-Session-Id": Redacted.make(secret) } }],
    ["a command that does not exist", { kind: "stdio", command: Redacted.make(`/nowhere/${secret}`) }],
    ["a directory that does not exist", { kind: "stdio", command: "node", cwd: Redacted.make(`/nowhere/${secret}`) }]
  ])("%s: is told before anything is made, without its value", async (_what, settings) => {
    const told = await answer(settings as Fleet.Spec["settings"])
    assert.match(told, /connector/)
    assert.notInclude(told, secret)
  })

  it("of a kind without a transport: the packages that have them are named", async () => {
    assert.include(
      await answer({ kind: "stdio" }, HttpPeerTransport.layer()),
      "provided: http); @vmcp-keepalive/transport-http and @vmcp-keepalive/transport-stdio"
    )
  })
})
