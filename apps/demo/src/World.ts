/** The servers, a fault proxy before each, and a backend that is kept alive through it. All of it ends with the scope. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend, KeepaliveEvent, KeepalivePolicy } from "@vmcp-keepalive/core"
import type { BackendError } from "@vmcp-keepalive/core"
import { FaultProxy, McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import type { McpServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { Duration, Effect, Redacted } from "effect"
import type { Scope } from "effect"
import type { Journal } from "./Journal.ts"

/** A backend with everything around it. */
export interface Place<Server extends McpServer.McpServer = McpServer.McpServer> {
  readonly id: string
  readonly server: Server
  readonly proxy: FaultProxy.FaultProxy
  readonly backend: Backend.Backend<Client>
  readonly policy: KeepalivePolicy.KeepalivePolicy
}

export interface World {
  /** the reference server: 400 for a stale session */
  readonly everything: Place
  /** a gateway to a stdio server: 404 for a stale session, answers that cannot be resumed */
  readonly supergateway: Place<McpServer.Gateway>
  /** a gateway that outlives the stdio server behind it */
  readonly mcpProxy: Place<McpServer.Gateway>
  /** Effect's own server: JSON answers, no standing stream */
  readonly effectMcp: Place
  /** a server of ours, which does what it is told */
  readonly scripted: Place<ScriptedServer.ScriptedServer>
  /** what the backends send as credentials: of a backend that has none here, nothing */
  readonly credentials: Map<string, Redacted.Redacted>
}

/** Why it could not be set up. */
export type WorldError = McpServer.ServerStartError | FaultProxy.FaultProxyError | BackendError.ConfigurationError

/** The scripted server demands credentials from the beginning. */
const firstCredentials = Redacted.make("Bearer first")

/** Short, so that a tour of everything takes a minute. */
const settings = {
  probe: "auto",
  interval: "1.5 seconds",
  timeout: "700 millis",
  confirmInterval: "400 millis",
  failureThreshold: 3,
  connectTimeout: "3 seconds",
  backoff: { initial: "200 millis", factor: 2, cap: "1 second" },
  circuit: { failures: 5, openFor: { initial: "2 seconds", factor: 1.5, cap: "3 seconds" } },
  stableAfter: "1 second",
  waitForSession: "10 seconds",
  inFlightGrace: "1 second"
} as const satisfies KeepalivePolicy.Options

/**
 * Starts everything. Where a server is restarted while nobody calls, the probes that meet nobody in the meantime shall
 * not end the session, or the server could not show how it refuses a stale one.
 */
export const make = (journal: Journal): Effect.Effect<World, WorldError, Scope.Scope> =>
  Effect.gen(function* () {
    const credentials = new Map<string, Redacted.Redacted>([["scripted", firstCredentials]])
    const place = Effect.fnUntraced(function* <Server extends McpServer.McpServer, E, R>(
      id: string,
      start: Effect.Effect<Server, E, R>,
      failureThreshold: number = settings.failureThreshold
    ) {
      const server = yield* start
      const proxy = yield* FaultProxy.make({ target: server })
      const connector = HttpConnector.make({
        url: `${proxy.url}/mcp`,
        headers: Effect.sync((): Record<string, Redacted.Redacted> => {
          journal.add(id, { _tag: "CredentialsRead" })
          const authorization = credentials.get(id)
          return authorization === undefined ? {} : { authorization }
        }),
        client: () => new Client({ name: "vmcp-keepalive-demo", version: "1.0.0" })
      })
      const options = { ...settings, failureThreshold }
      const backend = yield* Backend.make({ id, connector, policy: options })
      const { policy } = KeepalivePolicy.resolve(options, connector)
      return { id, server, proxy, backend, policy } satisfies Place<Server>
    })
    const patient = 8
    const placed = yield* Effect.all(
      {
        everything: place("everything", McpServers.everything, patient),
        supergateway: place("supergateway", McpServers.supergateway({ backend: "small" })),
        mcpProxy: place("mcp-proxy", McpServers.mcpProxy({ backend: "small" })),
        effectMcp: place("effect-mcp", McpServers.effectMcp, patient),
        scripted: place("scripted", ScriptedServer.make({ authorization: Redacted.value(firstCredentials) }))
      },
      { concurrency: "unbounded" }
    )
    return { ...placed, credentials }
  }).pipe(
    Effect.provideService(KeepaliveEvent.Observers, [(event) => journal.add(event.backend, { _tag: "Event", event })])
  )

/** Every backend of the world. */
export const places = (world: World): ReadonlyArray<Place> => [
  world.everything,
  world.supergateway,
  world.mcpProxy,
  world.effectMcp,
  world.scripted
]

/** Within what a death is noticed, as the policy promises it. */
export const bounds = ({ policy: { confirmInterval, failureThreshold, interval, timeout } }: Place) => {
  const firstMiss = Duration.sum(Duration.times(interval, 1.1), timeout)
  return {
    /** until the first probe is missed, no call in flight */
    firstMiss,
    /** until the session is given up */
    death: Duration.sum(firstMiss, Duration.times(Duration.sum(confirmInterval, timeout), failureThreshold - 1))
  }
}
