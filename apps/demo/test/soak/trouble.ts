/** Troubles of both transports: each lasts for a while, and after it the network and the server are well. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Backend } from "@vmcp-keepalive/core"
import { Fault, ProcessGroups, ScriptedServer } from "@vmcp-keepalive/testkit"
import type { FaultProxy, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"

/** One kind of trouble. */
export interface Trouble {
  readonly name: string
  /** Makes it, and ends it when the effect has. */
  readonly during: (effect: Effect.Effect<void>) => Effect.Effect<void>
}

const around = (name: string, begin: Effect.Effect<unknown>, end: Effect.Effect<unknown> = Effect.void): Trouble => ({
  name,
  during: (effect) =>
    Effect.acquireUseRelease(
      begin,
      () => effect,
      () => end
    )
})

/**
 * What happens over HTTP. `sessions` spares what has no session id yet: a server that allows one session only, and
 * whose answer to `initialize` is lost, keeps one whose id nobody has learned, and nobody can mend that.
 */
export const http = (
  server: ScriptedServer.ScriptedServer,
  proxy: FaultProxy.FaultProxy,
  reach: "everything" | "sessions"
): ReadonlyArray<Trouble> => {
  const { Control, Reaction } = ScriptedServer
  const on = reach === "sessions" ? { session: true } : {}
  const calls = { rpc: "tools/call" } as const
  const network = ([name, fault]: readonly [string, Fault.Fault]): Trouble => ({
    name,
    during: (effect) =>
      Effect.acquireUseRelease(
        proxy.inject(fault),
        () => effect,
        ({ heal }) => heal
      )
  })
  const reacting = ([name, reaction]: readonly [string, ScriptedServer.Reaction]): Trouble =>
    around(name, server.react("tools/call", reaction), server.control(Control.ForgetScripts()))
  return [
    ...(
      [
        ["swallowed", Fault.SilentDrop({ on })],
        ["standing stream swallowed, dead after it", Fault.SilentDrop({ on: { method: "GET" }, onHeal: "keep" })],
        ["pings swallowed", Fault.SilentDrop({ on: { rpc: "ping" } })],
        ["half-closed", Fault.HalfClose({ on })],
        ["reset", Fault.Reset({ on })],
        ["two calls reset", Fault.Reset({ on: calls, times: 2 })],
        ["answers cut", Fault.CutMidChunk({ on: calls })],
        ["standing stream cut", Fault.CutMidChunk({ on: { method: "GET" } })],
        ["late", Fault.Delay({ each: "150 millis", on })],
        ["slow", Fault.Throttle({ bytesPerSecond: 4000, on })],
        ["bad gateway", Fault.Answer({ status: 502, on })],
        ["overloaded", Fault.Answer({ status: 503, headers: { "retry-after": "1" }, on })],
        ["404 of a proxy", Fault.Answer({ status: 404, on })],
        ["404 to one call", Fault.Answer({ status: 404, on: calls, times: 1 })],
        ["idle cut", Fault.IdleCut({ after: "200 millis", on })]
      ] as const
    ).map(network),
    ...(reach === "everything"
      ? [
          network(["connections refused", Fault.Refuse()]),
          network(["reset, idle connections too", Fault.Reset()]),
          around("frozen", server.freeze, server.thaw)
        ]
      : []),
    around("killed", server.kill, Effect.orDie(server.start)),
    around("sessions forgotten", server.control(Control.ExpireSessions())),
    around("streams ended", server.control(Control.EndStreams())),
    ...(
      [
        ["JSON-RPC errors", Reaction.RpcError({ code: -32000 })],
        ["no JSON", Reaction.InvalidJson()],
        ["answers to other ids", Reaction.WrongId()],
        ["429", Reaction.Status({ status: 429, headers: { "retry-after": "1" } })]
      ] as const
    ).map(reacting)
  ]
}

/** What happens to a child process. */
export const stdio = (
  server: StdioServers.ScriptedStdioServer,
  backend: Backend.Backend<Client>
): ReadonlyArray<Trouble> => {
  const log = server.args.join(" ").match(/[^\s']*executions\.jsonl/)?.[0] ?? ""
  const leaders = () => ProcessGroups.children().filter(({ command }) => command.includes(log))
  const signal = (name: NodeJS.Signals, whole: boolean) =>
    Effect.sync(() => {
      for (const { pid } of leaders()) ProcessGroups.signal(whole ? -pid : pid, name)
    })
  const call = (name: string, args: Record<string, unknown> = {}) =>
    backend
      .use((client, abort) => client.callTool({ name, arguments: args }, undefined, { signal: abort }))
      .pipe(Effect.timeoutOption("2 seconds"), Effect.exit)
  return [
    around("its group killed", signal("SIGKILL", true)),
    around("its leader killed", signal("SIGKILL", false)),
    around("its group terminated", signal("SIGTERM", true)),
    around("frozen", signal("SIGSTOP", true), signal("SIGCONT", true)),
    around("exit", call("exit", { code: 3 })),
    around("answer, then exit", call("answerAndExit", { code: 0 })),
    around("garbage", call("garbage", { lines: 50 })),
    around("a long line", call("longLine", { bytes: 300_000 })),
    around("a flood of stderr", call("stderr", { bytes: 1_000_000 })),
    around("busy", call("block", { ms: 600 })),
    around("deaf", call("closeStdin")),
    around("dumb", call("closeStdout")),
    around("grandchild", Effect.andThen(call("spawnGrandchild"), signal("SIGKILL", false)))
  ]
}

/** What an operator does, who does not know what else is going on. */
export const operator = (backend: Backend.Backend<Client>): ReadonlyArray<Trouble> => [
  around("reconnected by an operator", Effect.exit(backend.reconnect)),
  around("probed by an operator", Effect.exit(backend.probe)),
  around("reset by an operator", backend.reset),
  around("isolated by an operator", backend.isolate, backend.reset)
]
