/** The servers, and a backend that is kept connected to each. All of it ends with the scope. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend, KeepaliveEvent, KeepalivePolicy } from "@vmcp-keepalive/core"
import type { BackendError, Connector } from "@vmcp-keepalive/core"
import { FaultProxy, McpServers, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import type { McpServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { StdioConnector } from "@vmcp-keepalive/transport-stdio"
import { Duration, Effect, Redacted } from "effect"
import type { FileSystem, PlatformError, Scope } from "effect"
import type { Journal } from "./Journal.ts"
import type { Place, ProxiedPlace, Server } from "./Place.ts"
import * as Shell from "./Shell.ts"

export interface World {
  /** the reference server: 400 for a stale session */
  readonly everything: ProxiedPlace
  /** a gateway to a stdio server: 404 for a stale session, answers that cannot be resumed */
  readonly supergateway: ProxiedPlace<McpServer.Gateway>
  /** a gateway that outlives the stdio server behind it */
  readonly mcpProxy: ProxiedPlace<McpServer.Gateway>
  /** Effect's own server: JSON answers, no standing stream */
  readonly effectMcp: ProxiedPlace
  /** a server of ours, which does what it is told */
  readonly scripted: ProxiedPlace<ScriptedServer.ScriptedServer>
  /** the reference server for files, over stdio */
  readonly filesystem: Place<StdioServers.StdioServer>
  /** a server of ours over stdio, behind a shell */
  readonly scriptedSh: Place<StdioServers.ScriptedStdioServer & Shell.Refusing>
  /** what the backends send as credentials: of a backend that has none here, nothing */
  readonly credentials: Map<string, Redacted.Redacted>
}

/** Why it could not be set up. */
export type WorldError =
  | McpServer.ServerStartError
  | FaultProxy.FaultProxyError
  | BackendError.ConfigurationError
  | PlatformError.PlatformError

/** The scripted server demands credentials from the beginning. */
const firstCredentials = Redacted.make("Bearer first")

/** Short, so that a tour of everything takes half a minute. */
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

/** Short, too: how a child process is ended. */
export const shutdown = {
  end: Duration.millis(500),
  term: Duration.millis(500),
  kill: Duration.millis(500)
} as const

/** Starts everything; the backends themselves start what speaks stdio. */
export const make = (journal: Journal): Effect.Effect<World, WorldError, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function* () {
    const credentials = new Map<string, Redacted.Redacted>([["scripted", firstCredentials]])
    const client = () => new Client({ name: "vmcp-keepalive-demo", version: "1.0.0" })

    const place = Effect.fnUntraced(function* <Called extends Server, R>(
      id: string,
      server: Called,
      connector: Connector.Connector<Client, R>,
      failureThreshold: number = settings.failureThreshold
    ) {
      const options = { ...settings, failureThreshold }
      const backend = yield* Backend.make({ id, connector, policy: options })
      const { policy } = KeepalivePolicy.resolve(options, connector)
      return { id, server, backend, policy } satisfies Place<Called>
    })
    const overHttp = Effect.fnUntraced(function* <Called extends McpServer.McpServer, E, R>(
      id: string,
      start: Effect.Effect<Called, E, R>,
      failureThreshold?: number
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
        client
      })
      return { ...(yield* place(id, server, connector, failureThreshold)), proxy } satisfies ProxiedPlace<Called>
    })
    const overStdio = Effect.fnUntraced(function* <Called extends StdioServers.StdioServer, E, R>(
      id: string,
      describe: Effect.Effect<Called, E, R>
    ) {
      const server = yield* describe
      const { args, command } = server
      return yield* place(id, server, StdioConnector.make({ command, args, client, shutdown }))
    })

    // Where a server is restarted while nobody calls, the probes that meet nobody in the meantime shall not end the
    // session, or the server could not show how it refuses a stale one.
    const patient = 8
    const placed = yield* Effect.all(
      {
        everything: overHttp("everything", McpServers.everything, patient),
        supergateway: overHttp("supergateway", McpServers.supergateway({ backend: "small" })),
        mcpProxy: overHttp("mcp-proxy", McpServers.mcpProxy({ backend: "small" })),
        effectMcp: overHttp("effect-mcp", McpServers.effectMcp, patient),
        scripted: overHttp("scripted", ScriptedServer.make({ authorization: Redacted.value(firstCredentials) })),
        filesystem: overStdio("filesystem", StdioServers.filesystem),
        scriptedSh: overStdio("scripted-sh", Effect.flatMap(StdioServers.scripted(), Shell.through))
      },
      { concurrency: "unbounded" }
    )
    return { ...placed, credentials }
  }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => journal.add(event.backend, { _tag: "Event", event }))))

/** Every backend of the world. */
export const places = (world: World): ReadonlyArray<Place> => [
  world.everything,
  world.supergateway,
  world.mcpProxy,
  world.effectMcp,
  world.scripted,
  world.filesystem,
  world.scriptedSh
]
