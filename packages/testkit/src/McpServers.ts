/**
 * The kinds of real MCP servers over Streamable HTTP. Each is started on an ephemeral port of 127.0.0.1, in real time:
 * under a `TestClock` no start ends. They run in process groups of their own and are found again by a mark in their
 * environment, so that also a child in yet another group ends with them. Needs Linux.
 */
import { Duration, Effect } from "effect"
import type { Scope } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Calls from "./internal/calls.ts"
import * as Processes from "./internal/processes.ts"
import * as Programs from "./internal/programs.ts"
import * as ServerProcess from "./internal/serverProcess.ts"
import * as Temporary from "./internal/temporary.ts"
import type { Gateway, McpServer, ServerOfAnEra, ServerStartError, Traits } from "./McpServer.ts"

type Started<Server> = Effect.Effect<Server, ServerStartError, Scope.Scope>

/** What each kind is documented, or was seen, to do. `ScriptedServer` does what it is told. */
export const traits = {
  everything: { staleSession: 400, getStream: true, answers: "sse", resumable: true, stateful: true },
  mcpProxy: { staleSession: 404, getStream: true, answers: "sse", resumable: true, stateful: true },
  supergateway: { staleSession: 404, getStream: true, answers: "sse", resumable: false, stateful: true },
  supergatewayStateless: { staleSession: "none", getStream: false, answers: "sse", resumable: false, stateful: false },
  effectMcp: { staleSession: 404, getStream: false, answers: "json", resumable: false, stateful: true },
  // as it does to requests of the legacy era
  sdk2: { staleSession: "none", getStream: false, answers: "sse", resumable: false, stateful: false },
  sdk2Legacy: { staleSession: 404, getStream: true, answers: "sse", resumable: false, stateful: true }
} as const satisfies Record<string, Traits>

/** The reference server, on SDK 1.x. */
export const everything: Started<McpServer> = ServerProcess.make({
  name: "everything",
  traits: traits.everything,
  echo: Calls.echo,
  slow: Calls.longOperation,
  launch: (port, log) => ({ args: Programs.everything(log, "streamableHttp"), env: { PORT: String(port) } })
})

/**
 * The stdio server behind a gateway: the reference server, a small one of ours that starts faster, both of the legacy era, or one on
 * SDK 2.x, of MCP 2026-07-28 alone (`modern`) or of both eras (`dual`).
 */
export type Backend = "everything" | "small" | "modern" | "dual"

const backend = (kind: Backend) =>
  Effect.map(Temporary.directory, (directory) => {
    const program = join(directory, "program.json")
    const ofSdk2 = (log: string) => [Programs.script("sdk2Stdio"), log, program]
    const args = {
      everything: (log: string) => Programs.everything(log, "stdio"),
      small: (log: string) => [Programs.script("scriptedStdio"), log],
      modern: ofSdk2,
      dual: ofSdk2
    }
    const speaksModern = args[kind] === ofSdk2
    if (speaksModern) writeFileSync(program, JSON.stringify({ era: kind }))
    return { slow: kind === "everything" ? Calls.longOperation : Calls.slow, args: args[kind], speaksModern }
  })

const gateway = (server: ServerProcess.ServerProcess): Gateway => ({
  ...server,
  killBackend: Effect.suspend(() =>
    Effect.flatMap(server.pid, (pid) => Processes.killAll(() => server.members().filter((member) => member !== pid)))
  )
})

/**
 * mcp-proxy: one stdio server behind all sessions, started with the gateway and never again: when it dies the gateway
 * becomes a zombie that answers `ping`.
 */
export const mcpProxy = (
  options: {
    readonly backend?: Backend
    /** How long a session survives with no stream and no request. Default: its own, 30 minutes. */
    readonly sessionIdleTimeout?: Duration.Input
  } = {}
): Started<Gateway> =>
  Effect.flatMap(backend(options.backend ?? "everything"), (behind) => {
    const idle = options.sessionIdleTimeout
    return ServerProcess.make({
      name: "mcpProxy",
      traits: traits.mcpProxy,
      echo: Calls.echo,
      slow: behind.slow,
      launch: (port, log) => ({
        args: [
          Programs.packageFile("mcp-proxy", "dist/bin/mcp-proxy.mjs"),
          "--host",
          "127.0.0.1",
          "--port",
          String(port),
          ...(idle === undefined ? [] : ["--sessionIdleTimeout", String(Duration.toMillis(idle))]),
          // else it sends `initialize` at once, which a server of the modern era alone refuses
          ...(behind.speaksModern ? ["--upstreamProtocol", "auto"] : []),
          "--",
          process.execPath,
          ...behind.args(log)
        ]
      })
    })
  }).pipe(Effect.map(gateway))

/** supergateway: a stdio server for each session, or for each request when it is not stateful. */
export const supergateway = (
  options: {
    readonly backend?: Backend
    /** Default: true. */
    readonly stateful?: boolean
    /** How long a session survives without a request. Default: for ever. */
    readonly sessionTimeout?: Duration.Input
  } = {}
): Started<Gateway> =>
  Effect.flatMap(backend(options.backend ?? "everything"), (behind) => {
    const { sessionTimeout, stateful = true } = options
    return ServerProcess.make({
      name: stateful ? "supergateway" : "supergateway, stateless",
      traits: stateful ? traits.supergateway : traits.supergatewayStateless,
      echo: Calls.echo,
      slow: behind.slow,
      launch: (port, log) => ({
        args: [
          Programs.packageFile("supergateway", "dist/index.js"),
          "--stdio",
          [process.execPath, ...behind.args(log)].map(Programs.quoted).join(" "),
          "--outputTransport",
          "streamableHttp",
          "--port",
          String(port),
          "--logLevel",
          "none",
          ...(stateful ? ["--stateful"] : []),
          ...(sessionTimeout === undefined ? [] : ["--sessionTimeout", String(Duration.toMillis(sessionTimeout))])
        ]
      })
    })
  }).pipe(Effect.map(gateway))

/** Effect's own server, with the tools `echo`, `slow` and `fail`. */
export const effectMcp: Started<McpServer> = ServerProcess.make({
  name: "effectMcp",
  traits: traits.effectMcp,
  echo: Calls.echo,
  slow: Calls.slow,
  launch: (port, log) => ({ args: [Programs.script("effectMcp"), String(port), log] })
})

/** The same, for which MCP 2026-07-28 and what came before it are one endpoint. */
export const effectMcpBoth: Started<McpServer> = ServerProcess.make({
  name: "effectMcp, both eras",
  traits: traits.effectMcp,
  echo: Calls.echo,
  slow: Calls.slow,
  launch: (port, log) => ({ args: [Programs.script("effectMcp"), String(port), log, "both"] })
})

/**
 * A server on SDK 2.x: of MCP 2026-07-28 (`modern`), of what came before with sessions (`legacy`), or of both behind one URL without
 * sessions (`dual`). It can become one of another era.
 */
export const sdk2 = (
  options: {
    /** Default: `modern`. */
    readonly era?: ServerOfAnEra["era"]
    /** How often it writes a comment on its open streams. Default: its own, 15 s. */
    readonly comments?: Duration.Input
    /** How many subscriptions it has room for. Default: that of the SDK, 1,024. */
    readonly maxSubscriptions?: number
    /** How long its list of tools may be kept by who has read it. Default: not at all. */
    readonly ttl?: Duration.Input
  } = {}
): Started<ServerOfAnEra> =>
  Effect.suspend(() => {
    const { comments, maxSubscriptions, ttl } = options
    let era = options.era ?? "modern"
    const env = {
      ...(comments === undefined ? {} : { COMMENTS: String(Duration.toMillis(comments)) }),
      ...(maxSubscriptions === undefined ? {} : { SUBSCRIPTIONS: String(maxSubscriptions) }),
      ...(ttl === undefined ? {} : { TTL: String(Duration.toMillis(ttl)) })
    }
    return ServerProcess.make({
      name: `sdk2, ${era}`,
      traits: era === "legacy" ? traits.sdk2Legacy : traits.sdk2,
      echo: Calls.echo,
      slow: Calls.slow,
      launch: (port, log) => ({ args: [Programs.script("sdk2Http"), String(port), log, era], env })
    }).pipe(
      Effect.map((server) => ({
        ...server,
        get era() {
          return era
        },
        become: (next: ServerOfAnEra["era"]) =>
          Effect.andThen(
            server.kill,
            Effect.suspend(() => {
              era = next
              return server.start
            })
          ),
        terminate: Effect.sync(() => void server.child()?.kill("SIGTERM"))
      }))
    )
  })
