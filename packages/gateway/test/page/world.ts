/** A fleet of real servers: one over HTTP behind a proxy that can do harm, one over stdio, one that is not there. */
import { Fleet, KeepalivePolicy } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { FaultProxy, McpServers, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector, HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect } from "effect"

const hasty = {
  interval: "1 second",
  timeout: "400 millis",
  confirmInterval: "200 millis",
  connectTimeout: "10 seconds",
  backoff: { initial: "300 millis", factor: 2, cap: "1 second" },
  stableAfter: "200 millis",
  circuit: { failures: 4, openFor: "20 seconds" }
} as const satisfies KeepalivePolicy.Options

/** Nothing listens at the port of discard here. */
const nowhere = "http://127.0.0.1:9/mcp"

export const make = Effect.gen(function* () {
  const server = yield* McpServers.everything
  const proxy = yield* FaultProxy.make({ target: { port: server.port } })
  const local = yield* StdioServers.scripted()
  const fleet = yield* Fleet.make<Peer.Peer>().pipe(
    Effect.provide(HttpPeerTransport.layer()),
    Effect.provide(KeepalivePolicy.layer(hasty))
  )
  yield* fleet.add({ id: "web", connector: HttpPeerConnector.make({ url: `${proxy.url}/mcp` }) })
  yield* fleet.add({
    id: "local",
    connector: StdioPeerConnector.make({ command: local.command, args: local.args })
  })
  yield* fleet.add({ id: "missing", connector: HttpPeerConnector.make({ url: nowhere }) })
  return { server, proxy, local, fleet }
})
