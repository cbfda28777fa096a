/** The servers, a file that lists them, and their places in the fleet that the file describes. All of it ends with the scope. */
import { type ConfigFileError, KeepaliveConfig } from "@vmcp-keepalive/config"
import { Fleet, KeepaliveEvent, KeepalivePolicy } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { FaultProxy, McpServers, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import type { McpServer } from "@vmcp-keepalive/testkit"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerTransport } from "@vmcp-keepalive/transport-stdio/peer"
import { Duration, Effect, FileSystem, Layer, Option, Redacted, Scope } from "effect"
import type { Path, PlatformError } from "effect"
import type { Gateway } from "vmcp-keepalive"
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
  /** a server on SDK 2.x, of MCP 2026-07-28: no sessions, no standing stream; it becomes one of another era */
  readonly sdk2: ProxiedPlace<McpServer.ServerOfAnEra>
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
  | ConfigFileError.ConfigFileError
  | Fleet.FleetConfigurationError
  | PlatformError.PlatformError

/** The scripted server demands credentials from the beginning. */
const firstCredentials = Redacted.make("Bearer first")

/** Short, so that a tour of everything takes half a minute: shorter than a file may say. */
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
  inFlightGrace: "1 second",
  // sessions of a tour are young: what ends one that was stable costs nothing of it
  replayBudget: { window: "1 second" }
} as const satisfies KeepalivePolicy.Options

/** Short, too: how a child process is ended. */
export const shutdown = {
  end: Duration.millis(300),
  term: Duration.millis(400),
  kill: Duration.millis(300)
} as const

/** The fleet before anything is in it, and what its backends send as credentials. */
export interface Empty {
  readonly fleet: Fleet.Fleet<Peer.Peer>
  readonly credentials: World["credentials"]
  /** by URL, whose it is */
  readonly ids: Map<string, string>
}

/** A fleet whose events, and whose reading of credentials, are in the journal. */
export const empty = (journal: Journal): Effect.Effect<Empty, never, Scope.Scope> =>
  Effect.gen(function* () {
    const credentials = new Map<string, Redacted.Redacted>([["scripted", firstCredentials]])
    const ids = new Map<string, string>()
    const readCredentials = (id: string) =>
      Effect.sync((): Record<string, Redacted.Redacted> => {
        journal.add(id, { _tag: "CredentialsRead" })
        const authorization = credentials.get(id)
        return authorization === undefined ? {} : { authorization }
      })
    const Transports = Layer.mergeAll(
      // credentials that change while the servers run cannot stand in a file
      HttpPeerTransport.layer({ headers: ({ url }) => readCredentials(ids.get(textOf(url)) ?? "") }),
      StdioPeerTransport.layer({ shutdown })
    )
    const fleet = yield* Fleet.make<Peer.Peer>().pipe(
      Effect.provide([
        Transports,
        KeepalivePolicy.layer(settings),
        KeepaliveEvent.layerObserver((event) => journal.add(event.backend, { _tag: "Event", event }))
      ])
    )
    return { fleet, credentials, ids }
  })

/** Starts everything; the backends themselves start what speaks stdio. */
export const make = (
  { credentials, fleet, ids }: Empty,
  show: Gateway.Shape["show"]
): Effect.Effect<World, WorldError, FileSystem.FileSystem | Path.Path | Scope.Scope> =>
  Effect.gen(function* () {
    const parallel = yield* Scope.fork(yield* Effect.scope, "parallel")
    /** They end all at the same time, or the program would not end in time. */
    const beside = <A, E>(start: Effect.Effect<A, E, Scope.Scope>) =>
      Effect.flatMap(Scope.fork(parallel, "sequential"), (own) => Scope.provide(start, own))
    const servers = yield* Effect.all(
      {
        everything: beside(proxied(McpServers.everything)),
        supergateway: beside(proxied(McpServers.supergateway({ backend: "small" }))),
        mcpProxy: beside(proxied(McpServers.mcpProxy({ backend: "small" }))),
        effectMcp: beside(proxied(McpServers.effectMcp)),
        sdk2: beside(proxied(McpServers.sdk2({ era: "modern" }))),
        scripted: beside(proxied(ScriptedServer.make({ authorization: Redacted.value(firstCredentials) }))),
        filesystem: StdioServers.filesystem,
        scriptedSh: Effect.flatMap(StdioServers.scripted(), Shell.through)
      },
      { concurrency: "unbounded" }
    )
    const { effectMcp, everything, filesystem, mcpProxy, scripted, scriptedSh, sdk2, supergateway } = servers
    const file = yield* written({
      everything: { ...reached(everything), ...patient },
      supergateway: reached(supergateway),
      "mcp-proxy": reached(mcpProxy),
      "effect-mcp": { ...reached(effectMcp), ...patient },
      sdk2: { ...reached(sdk2), ...patient },
      // one session for all: of each reading of its credentials the journal shall say that it was the fleet's
      scripted: { ...reached(scripted), session: "shared" },
      filesystem: started(filesystem),
      "scripted-sh": started(scriptedSh)
    })
    const { specs } = yield* KeepaliveConfig.load(file)
    for (const { id, settings } of specs) if (settings.kind === "http") ids.set(Redacted.value(settings.url), id)
    yield* show(new Map(specs.map(({ id, session, tools }) => [id, { session, tools }])))
    yield* fleet.apply(specs)

    const place = Effect.fnUntraced(function* <Called extends Server>(id: string, server: Called) {
      const backend = Option.getOrThrow(yield* fleet.get(id))
      return { id, server, backend, policy: yield* backend.policy } satisfies Place<Called>
    })
    const behind = <Called extends McpServer.McpServer>(id: string, { proxy, server }: Proxied<Called>) =>
      Effect.map(place(id, server), (placed): ProxiedPlace<Called> => ({ ...placed, proxy }))
    return {
      everything: yield* behind("everything", everything),
      supergateway: yield* behind("supergateway", supergateway),
      mcpProxy: yield* behind("mcp-proxy", mcpProxy),
      effectMcp: yield* behind("effect-mcp", effectMcp),
      sdk2: yield* behind("sdk2", sdk2),
      scripted: yield* behind("scripted", scripted),
      filesystem: yield* place("filesystem", filesystem),
      scriptedSh: yield* place("scripted-sh", scriptedSh),
      credentials
    }
  })

/** A server over HTTP, and the proxy through which it is reached. */
interface Proxied<Called extends McpServer.McpServer> {
  readonly server: Called
  readonly proxy: FaultProxy.FaultProxy
}

const proxied = <Called extends McpServer.McpServer, E, R>(start: Effect.Effect<Called, E, R>) =>
  Effect.flatMap(start, (server) =>
    // more than the tour makes of them
    Effect.map(FaultProxy.make({ target: server, remembered: 10_000 }), (proxy): Proxied<Called> => ({ server, proxy }))
  )

/**
 * Where a server is restarted while nobody calls, the probes that meet nobody in the meantime shall not end the session, or the
 * server could not show how it refuses a stale one.
 */
const patient = { keepalive: { failureThreshold: 8 } }

const reached = ({ proxy }: Proxied<McpServer.McpServer>) => ({ type: "http", url: `${proxy.url}/mcp` })
const started = ({ args, command }: StdioServers.StdioServer) => ({
  type: "stdio",
  command: asText(command),
  args: args.map(asText)
})

const textOf = (text: string | Redacted.Redacted): string => (Redacted.isRedacted(text) ? Redacted.value(text) : text)

/** What would be a variable to the reader of a file. */
const asText = (text: string): string => text.replaceAll("${", "$${")

/** A configuration file as people have it; its path. */
const written = (mcpServers: Readonly<Record<string, object>>) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const file = `${yield* fs.makeTempDirectoryScoped({ prefix: "vmcp-demo-" })}/mcp.json`
    yield* fs.writeFileString(file, JSON.stringify({ mcpServers }))
    return file
  })

/** Every backend of the world. */
export const places = (world: World): ReadonlyArray<Place> => [
  world.everything,
  world.supergateway,
  world.mcpProxy,
  world.effectMcp,
  world.sdk2,
  world.scripted,
  world.filesystem,
  world.scriptedSh
]
