/** Calls whose callback returns an effect: its context, its errors and its interruption are the caller's. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Data, Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type BackendError } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly why: unknown }> {}

class Name extends Context.Service<Name, string>()("test/Name") {}

/** A client of Effects over the scripted one: what it throws is a typed error. */
const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) =>
  Effect.tryPromise({ try: () => client.callTool("echo", { signal }), catch: (why) => new Refused({ why }) })

const make = Effect.gen(function* () {
  const server = ScriptedServer.make()
  const backend = yield* Backend.make({ id: "scripted", connector: server.connector })
  yield* backend.awaitConnected
  return { backend, server }
})

describe("a callback that returns an effect", () => {
  it.effect("gives its value, with the services of its caller", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* make
      const call = backend.use((client, signal) =>
        Effect.zipWith(echo(client, signal), Name, (tool, name) => `${tool} for ${name}`)
      )
      assert.strictEqual(yield* Effect.provideService(call, Name, "me"), "echo for me")
      assert.deepStrictEqual(server.executed, ["echo"])
    })
  )

  it.effect("fails with its own error where the server has answered", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* make
      server.script.call = () => ScriptedServer.error(-32602)
      const error = yield* Effect.flip(backend.use(echo))
      assert.strictEqual(error._tag, "Refused")
    })
  )

  it.effect("fails with its own error, and dies of its own defect, where it has asked for nothing", () =>
    Effect.gen(function* () {
      const { backend } = yield* make
      const failed = yield* Effect.flip(backend.use((_client) => Effect.fail(new Refused({ why: "mine" }))))
      assert.strictEqual(failed._tag, "Refused")
      const died = yield* Effect.exit(backend.use((_client) => Effect.die("broken")))
      assert.isTrue(Exit.isFailure(died) && Cause.hasDies(died.cause))
    })
  )

  it.effect("fails with the truth of the connection where the server has not answered", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* make
      server.script.call = () => ScriptedServer.cut
      const cut = yield* Effect.flip(backend.use(echo))
      assert.strictEqual(cut._tag, "OutcomeUnknown")
      server.script.call = () => ScriptedServer.refuse(422)
      const refused = yield* Effect.flip(backend.use(echo))
      assert(refused._tag === "CallFailed")
      assert.strictEqual(refused.reason, "http_4xx")
      assert.instanceOf(refused.cause, Refused)
      assert.deepStrictEqual(server.executed, ["echo"])
    })
  )

  it.effect("is interrupted with its caller, who waits for its finalizers", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* make
      server.script.call = () => ScriptedServer.silence
      const told: Array<string> = []
      const fiber = yield* Effect.forkChild(
        backend.use((client, signal) =>
          Effect.onInterrupt(echo(client, signal), () =>
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => told.push(`interrupted, aborted ${signal.aborted}`))
            )
          )
        ),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(told, ["interrupted, aborted true"])
      assert.strictEqual((yield* backend.state)._tag, "Connected")
    })
  )

  it.effect("is interrupted when its session dies, and its outcome is unknown", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* make
      server.script.call = () => ScriptedServer.silence
      let interrupted = false
      const fiber = yield* Effect.forkChild(
        Effect.flip(
          backend.use((client, signal) =>
            Effect.onInterrupt(echo(client, signal), () => Effect.sync(() => (interrupted = true)))
          )
        ),
        { startImmediately: true }
      )
      server.kill("reset")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "OutcomeUnknown")
      assert.isTrue(interrupted)
      assert.deepStrictEqual(server.executed, ["echo"])
    })
  )

  it.effect("is run again where nothing was sent, after its first run has ended", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* make
      const told: Array<string> = []
      const begun = yield* Deferred.make<void>()
      let runs = 0
      const fiber = yield* Effect.forkChild(
        backend.use((client, signal) =>
          Effect.suspend(() => {
            const run = ++runs
            told.push(`run ${run}`)
            if (run > 1) return echo(client, signal)
            return Deferred.succeed(begun, undefined).pipe(
              Effect.andThen(Effect.never),
              Effect.onInterrupt(() =>
                Effect.andThen(
                  Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
                  Effect.sync(() => told.push("end of run 1"))
                )
              )
            )
          })
        )
      )
      yield* Deferred.await(begun)
      server.kill("reset")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "echo")
      assert.deepStrictEqual(told, ["run 1", "end of run 1", "run 2"])
      assert.deepStrictEqual(server.executed, ["echo"])
    })
  )

  it.effect("begins nothing more where the callback itself has ended the session", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* make
      const begun: Array<number> = []
      let runs = 0
      const call = yield* Effect.forkScoped(
        backend.use((client) => {
          const run = ++runs
          if (run === 1) server.kill("reset")
          return Effect.andThen(
            Effect.sync(() => begun.push(run)),
            Effect.andThen(Effect.sleep("1 minute"), echo(client, AbortSignal.any([])))
          )
        }),
        { startImmediately: true }
      )
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Fiber.join(call), "echo")
      assert.deepStrictEqual(begun, [2])
    })
  )

  it.effect("is bound to its session in a pinned body, as every call is", () =>
    Effect.gen(function* () {
      const { backend, server } = yield* make
      const values = yield* backend.pinned((session) => Effect.all([session.use(echo), session.use(echo)]))
      assert.deepStrictEqual(values, ["echo", "echo"])
      const error = yield* Effect.flip(
        backend.pinned((session) => {
          server.kill("reset")
          return session.use(echo)
        })
      )
      assert.strictEqual(error._tag, "SessionReplaced")
    })
  )

  it.effect("has its error and its needs in the type of the call", () =>
    Effect.gen(function* () {
      const { backend } = yield* make
      const call = backend.use((client, signal) => Effect.andThen(Name, echo(client, signal)))
      const typed: Effect.Effect<string, Refused | BackendError.CallError, Name> = call
      const promised: Effect.Effect<string, BackendError.CallError> = backend.use((client) => client.callTool("echo"))
      assert.strictEqual(yield* Effect.provideService(typed, Name, "me"), "echo")
      assert.strictEqual(yield* promised, "echo")
    })
  )
})
