/** By which MCP method the requests of a call are said to have been. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Backend from "../src/Backend.ts"
import * as KeepaliveEvent from "../src/KeepaliveEvent.ts"
import * as ScriptedServer from "../src/testing/ScriptedServer.ts"

type Client = ScriptedServer.ScriptedClient

/** A backend and the methods of its calls, in the order in which they ended. */
const observed = Effect.gen(function* () {
  const server = ScriptedServer.make()
  const methods: Array<readonly [outcome: string, method: string | undefined]> = []
  const backend = yield* Backend.make({ id: "scripted", connector: server.connector }).pipe(
    Effect.provide(
      KeepaliveEvent.layerObserver((event) => {
        if (event._tag === "CallSettled") methods.push([event.outcome, event.method])
      })
    )
  )
  yield* backend.awaitConnected
  return { backend, methods, server }
})

const echo = (client: Client, signal: AbortSignal) => client.callTool("echo", { signal })
const list = (client: Client, signal: AbortSignal) => client.listTools({ signal })

describe("a call tells the method of its requests", () => {
  it.effect("where it made one, or several by the same, pinned or not", () =>
    Effect.gen(function* () {
      const { backend, methods } = yield* observed
      yield* backend.use(echo)
      yield* backend.use(list)
      yield* backend.use((client, signal) => Promise.all([echo(client, signal), echo(client, signal)]))
      yield* backend.pinned((session) => session.use(list))
      assert.deepStrictEqual(methods, [
        ["ok", "tools/call"],
        ["ok", "tools/list"],
        ["ok", "tools/call"],
        ["ok", "tools/list"]
      ])
    })
  )

  it.effect("but none where it made several by different ones, or none", () =>
    Effect.gen(function* () {
      const { backend, methods } = yield* observed
      yield* backend.use(async (client, signal) => {
        await list(client, signal)
        return echo(client, signal)
      })
      yield* backend.use(() => Promise.resolve())
      yield* backend.isolate
      yield* Effect.flip(backend.use(echo))
      assert.deepStrictEqual(methods, [
        ["ok", undefined],
        ["ok", undefined],
        ["rejected", undefined]
      ])
    })
  )

  it.effect("however it ends: answered with an error, interrupted, or with its session", () =>
    Effect.gen(function* () {
      const { backend, methods, server } = yield* observed
      server.script.call = () => ScriptedServer.error(-32602)
      yield* Effect.flip(backend.use(echo))
      server.script.call = () => ScriptedServer.silence
      const interrupted = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      yield* Fiber.interrupt(interrupted)
      const abandoned = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      server.kill("reset")
      yield* Fiber.join(abandoned)
      assert.deepStrictEqual(methods, [
        ["failed", "tools/call"],
        ["failed", "tools/call"],
        ["outcome_unknown", "tools/call"]
      ])
    })
  )
})
