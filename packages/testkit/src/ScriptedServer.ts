/**
 * A server of ours that does exactly what a test tells it, in a process of its own. Tools: `echo {message}`,
 * `slow {ms}`, `progress {ms, everyMs}`, `fail`, `rpcError {code}`, `session_counter` (counts within its session).
 */
import { Data, Effect } from "effect"
import type { Scope } from "effect"
import type { ChildProcess } from "node:child_process"
import * as Calls from "./internal/calls.ts"
import * as Programs from "./internal/programs.ts"
import * as Scripted from "./internal/scripted.ts"
import * as ServerProcess from "./internal/serverProcess.ts"
import type { McpServer, ServerStartError, Traits } from "./McpServer.ts"

export type { Behaviour, Received, Script, Stats } from "./internal/scripted.ts"

export type Control = Scripted.Control
/** Constructors: `ScriptedServer.Control.ExpireSessions()`. */
export const Control = Data.taggedEnum<Scripted.Control>()

export type Reaction = Scripted.Reaction
/** Constructors: `ScriptedServer.Reaction.RpcError({ code: -32601 })`. */
export const Reaction = Data.taggedEnum<Scripted.Reaction>()

export interface ScriptedServer extends McpServer {
  /** Changes it while it runs; resolves when it has. Dies when the server is not running. A start forgets it. */
  readonly control: (control: Control) => Effect.Effect<void>
  /** `control` with a `React`. */
  readonly react: (to: string, reaction: Reaction, times?: number) => Effect.Effect<void>
  /** What it counts in its present life. */
  readonly stats: Effect.Effect<Scripted.Stats>
  /** The requests of its present life. */
  readonly requests: Effect.Effect<ReadonlyArray<Scripted.Received>>
}

/** Starts it with this behaviour, to which every later start returns. */
export const make = (
  options: Partial<Scripted.Behaviour> = {}
): Effect.Effect<ScriptedServer, ServerStartError, Scope.Scope> =>
  Effect.gen(function* () {
    const behaviour: Scripted.Behaviour = { ...Scripted.defaults, ...options }
    const waiting = new Map<number, (reply: Scripted.Reply | undefined) => void>()
    let ids = 0

    const attach = (child: ChildProcess) => {
      child.on("message", (reply: Scripted.Reply) => waiting.get(reply.id)?.(reply))
      child.on("exit", () => waiting.forEach((answer) => answer(undefined)))
    }
    const server = yield* ServerProcess.make({
      name: "scripted",
      traits: traitsOf(behaviour),
      echo: Calls.echo,
      slow: Calls.slow,
      ipc: true,
      onSpawn: attach,
      launch: (port, log) => ({
        args: [Programs.script("scripted"), String(port), log, JSON.stringify(behaviour)]
      })
    })

    const ask = (question: Scripted.Question): Effect.Effect<Scripted.Reply> =>
      Effect.callback<Scripted.Reply>((resume) => {
        const child = server.child()
        const notRunning = Effect.die(`ScriptedServer: ${question._tag} while it is not running`)
        if (child === undefined) return resume(notRunning)
        const id = ++ids
        waiting.set(id, (reply) => {
          waiting.delete(id)
          resume(reply === undefined ? notRunning : Effect.succeed(reply))
        })
        const envelope: Scripted.Envelope = { id, question }
        child.send(envelope, (error) => error !== null && waiting.get(id)?.(undefined))
        return Effect.sync(() => waiting.delete(id))
      })
    const control = (command: Control) => Effect.asVoid(ask(command))

    return {
      ...server,
      control,
      react: (to, reaction, times) =>
        control(Control.React({ script: { to, reaction, ...(times === undefined ? {} : { times }) } })),
      stats: Effect.flatMap(ask({ _tag: "Stats" }), ({ stats }) => Effect.orDie(Effect.fromNullishOr(stats))),
      requests: Effect.flatMap(ask({ _tag: "Requests" }), ({ requests }) =>
        Effect.orDie(Effect.fromNullishOr(requests))
      )
    }
  })

const traitsOf = (behaviour: Scripted.Behaviour): Traits => ({
  staleSession: behaviour.stateful ? behaviour.staleSession : "none",
  getStream: behaviour.getStream,
  answers: behaviour.answers,
  resumable: behaviour.eventStore,
  stateful: behaviour.stateful
})
