/** Hearing of changes with the client of SDK 1.x, and without an SDK. */
import { assert, describe, it } from "@effect/vitest"
import { Backend } from "@vmcp-keepalive/core"
import { Fault, FaultProxy, McpServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { HttpConnector } from "../../src/index.ts"
import { HttpPeerConnector } from "../../src/peer.ts"
import { listen, quiet } from "./support.ts"

const touch = { name: "touch", arguments: {} }

/** A backend with either client, and how a call of `touch` is made. */
const kinds = [
  [
    "the client of SDK 1.x",
    (url: string) =>
      Effect.map(Backend.make({ id: "sdk1", connector: HttpConnector.make({ url }), policy: quiet }), (backend) => ({
        backend,
        touched: Effect.asVoid(backend.use((client) => client.callTool(touch)))
      }))
  ],
  [
    "a peer",
    (url: string) =>
      Effect.map(
        Backend.make({ id: "peer", connector: HttpPeerConnector.make({ url }), policy: quiet }),
        (backend) => ({
          backend,
          touched: Effect.asVoid(backend.use((client) => client.request({ method: "tools/call", params: touch })))
        })
      )
  ]
] as const

for (const [name, make] of kinds)
  describe(`a backend that is listened to, with ${name}`, { timeout: 60_000 }, () => {
    it.live("hears of changes, of everything once after its stream was refused for a while, and of changes again", () =>
      Effect.gen(function* () {
        const server = yield* McpServers.sdk2({ era: "legacy" })
        const proxy = yield* FaultProxy.make({ target: { port: server.port } })
        const { backend, touched } = yield* make(`${proxy.url}/mcp`)
        const { heard, hears, ready } = yield* listen(backend)
        yield* ready
        yield* touched
        yield* hears("note://1", "tools")
        yield* proxy.inject(Fault.Answer({ status: 429, on: { method: "GET" }, times: 2 }))
        yield* proxy.inject(Fault.CutMidChunk({ on: { method: "GET" }, times: 1 }))
        yield* hears("note://1", "resources", "tools")
        yield* touched
        yield* hears("note://1", "tools")
        yield* server.kill
        yield* server.start
        // its stream is what tells that it has forgotten the session
        yield* hears("note://1", "resources", "tools")
        assert.deepStrictEqual(heard, [])
      }).pipe(Effect.scoped)
    )
  })
