/**
 * The kinds of real MCP servers over Streamable HTTP. Each is started on an ephemeral port of 127.0.0.1, in real time:
 * under a `TestClock` no start ends. They run in process groups of their own and are found again by a mark in their
 * environment, so that also a child in yet another group ends with them. Needs Linux.
 */
import { Duration, Effect } from "effect"
import type { Scope } from "effect"
import { createRequire } from "node:module"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Processes from "./internal/processes.ts"
import * as ServerProcess from "./internal/serverProcess.ts"
import type { Call, Gateway, McpServer, ServerStartError, Traits } from "./McpServer.ts"

type Started<Server> = Effect.Effect<Server, ServerStartError, Scope.Scope>

/** What each kind is documented, or was seen, to do. `ScriptedServer` does what it is told. */
export const traits = {
  everything: { staleSession: 400, getStream: true, answers: "sse", resumable: true, stateful: true },
  mcpProxy: { staleSession: 404, getStream: true, answers: "sse", resumable: true, stateful: true },
  supergateway: { staleSession: 404, getStream: true, answers: "sse", resumable: false, stateful: true },
  supergatewayStateless: { staleSession: "none", getStream: false, answers: "sse", resumable: false, stateful: false },
  effectMcp: { staleSession: 404, getStream: false, answers: "json", resumable: false, stateful: true }
} as const satisfies Record<string, Traits>

const require = createRequire(import.meta.url)

/** A file of an installed package, also one that its exports map hides. */
const packageFile = (name: string, file: string): string => {
  const root = (require.resolve.paths(name) ?? []).map((path) => join(path, name)).find(isPackage)
  if (root === undefined) throw new Error(`${name} is not installed`)
  return join(root, file)
}
const isPackage = (path: string) => {
  try {
    return require.resolve(join(path, "package.json")) !== ""
  } catch {
    return false
  }
}

const echo = (message: string): Call => ({ name: "echo", arguments: { message } })
/** The long operation of server-everything. */
const longOperation = (seconds: number): Call => ({
  name: "trigger-long-running-operation",
  arguments: { duration: seconds, steps: 1 }
})
const slow = (seconds: number): Call => ({ name: "slow", arguments: { ms: seconds * 1000 } })

/** Arguments of `node` that run server-everything and log what it executes. */
const everythingArgs = (log: string, transport: "stdio" | "streamableHttp") => {
  const preload = ServerProcess.script("preload")
  preload.searchParams.set("log", log)
  return ["--import", preload.href, packageFile("@modelcontextprotocol/server-everything", "dist/index.js"), transport]
}

/** The reference server, on SDK 1.x. */
export const everything: Started<McpServer> = ServerProcess.make({
  name: "everything",
  traits: traits.everything,
  echo,
  slow: longOperation,
  launch: (port, log) => ({ args: everythingArgs(log, "streamableHttp"), env: { PORT: String(port) } })
})

/** The stdio server behind a gateway: the reference server, or a small one of ours that starts faster. */
export type Backend = "everything" | "small"

const backend = (kind: Backend) => ({
  slow: kind === "everything" ? longOperation : slow,
  args: (log: string) =>
    kind === "everything" ? everythingArgs(log, "stdio") : [fileURLToPath(ServerProcess.script("stdio")), log]
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
  Effect.suspend(() => {
    const behind = backend(options.backend ?? "everything")
    const idle = options.sessionIdleTimeout
    return ServerProcess.make({
      name: "mcpProxy",
      traits: traits.mcpProxy,
      echo,
      slow: behind.slow,
      launch: (port, log) => ({
        args: [
          packageFile("mcp-proxy", "dist/bin/mcp-proxy.mjs"),
          "--host",
          "127.0.0.1",
          "--port",
          String(port),
          ...(idle === undefined ? [] : ["--sessionIdleTimeout", String(Duration.toMillis(idle))]),
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
  Effect.suspend(() => {
    const behind = backend(options.backend ?? "everything")
    const { sessionTimeout, stateful = true } = options
    const quoted = (argument: string) => `'${argument.replaceAll("'", `'\\''`)}'`
    return ServerProcess.make({
      name: stateful ? "supergateway" : "supergateway, stateless",
      traits: stateful ? traits.supergateway : traits.supergatewayStateless,
      echo,
      slow: behind.slow,
      launch: (port, log) => ({
        args: [
          packageFile("supergateway", "dist/index.js"),
          "--stdio",
          [process.execPath, ...behind.args(log)].map(quoted).join(" "),
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
  echo,
  slow,
  launch: (port, log) => ({ args: [fileURLToPath(ServerProcess.script("effectMcp")), String(port), log] })
})
