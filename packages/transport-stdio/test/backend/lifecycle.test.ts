/** Operators, idleness and the end of the scope, with real children. */
import { assert, describe, it } from "@effect/vitest"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber } from "effect"
import {
  eventually,
  executing,
  is,
  isRenewed,
  keep,
  leavingNothing,
  type Kept,
  path,
  quickShutdown,
  text,
  together
} from "./support.ts"

const { scripted } = StdioServers

/** Does not end unless it is killed. */
const stubborn = { ignoreEof: true, ignoreTerm: true } as const
const connector = { shutdown: quickShutdown }
const gone = (pid: number) => Effect.timeout(ProcessGroups.awaitGone(pid), "5 seconds")

describe("an operator", () => {
  const promise = together()

  promise("who reconnects gets a new child, and the old one has ended before", () =>
    Effect.gen(function* () {
      const server = yield* scripted(stubborn)
      const kept = yield* keep(server, { connector })
      yield* kept.call(server.echo("before"))
      assert.deepStrictEqual(untimed(yield* kept.backend.reconnect), { _tag: "Connected", generation: 2 })
      assert.deepStrictEqual(
        kept.spawns.map(({ others }) => others),
        [[], []]
      )
      const closed = yield* kept.event("SessionClosed")
      assert.deepStrictEqual([closed.generation, closed.reason], [1, "closed"])
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
    })
  )

  promise("who isolates ends the child and the call in flight; calls are rejected until the reset", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const kept = yield* keep(server, { connector })
      const call = yield* Effect.forkChild(Effect.flip(kept.call(server.slow(60))))
      yield* executing(server)
      yield* kept.backend.isolate
      const unknown = yield* Fiber.join(call)
      assert.deepStrictEqual([unknown._tag, unknown.reason], ["OutcomeUnknown", "closed"])
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Isolated" })
      yield* gone(kept.pid())
      const rejected = yield* Effect.flip(kept.call(server.echo("rejected")))
      assert(rejected._tag === "CallRejected")
      assert.deepStrictEqual([rejected.state, rejected.retryAfter], ["Isolated", undefined])
      assert.strictEqual(kept.spawns.length, 1)
      yield* kept.backend.reset
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
      assert.deepStrictEqual(
        (yield* server.executions).map(({ tool }) => tool),
        ["slow", "echo"]
      )
    })
  )

  promise("who resets while the old child is being ended waits for its end, too", () =>
    Effect.gen(function* () {
      const kept = yield* keep(yield* scripted(stubborn), { connector })
      yield* kept.backend.isolate
      yield* kept.backend.reset
      yield* kept.until(isRenewed())
      assert.deepStrictEqual(
        kept.spawns.map(({ others }) => others),
        [[], []]
      )
    })
  )

  promise("who resets an open circuit gets an attempt at once", () =>
    Effect.gen(function* () {
      const kept = yield* keep(yield* scripted({ exit: 1 }), {
        await: false,
        policy: { circuit: { failures: 1, openFor: "1 hour" } }
      })
      yield* kept.until(is("CircuitOpen"))
      assert.strictEqual(kept.spawns.length, 1)
      yield* kept.backend.reset
      yield* kept.event("AttemptFailed", kept.spawns[0]?.at)
      yield* eventually(
        Effect.sync(() => kept.spawns.length),
        (spawns) => spawns === 2
      )
    })
  )
})

it.live("a child that takes longer to end than connectTimeout has ended, too, before the next one starts", () =>
  leavingNothing(
    Effect.gen(function* () {
      const kept = yield* keep(yield* scripted(stubborn), { connector, policy: { connectTimeout: "300 millis" } })
      yield* kept.backend.reconnect
      yield* kept.until(isRenewed())
      assert.deepStrictEqual(
        kept.spawns.flatMap(({ others }) => others),
        []
      )
    })
  )
)

describe("a backend that nobody calls for idleAfter", () => {
  const promise = together()

  const policy = { idleAfter: "400 millis" } as const

  promise("ends its child, and starts one for the next call", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const kept = yield* keep(server, { policy })
      yield* kept.call(server.echo("before"))
      yield* kept.until(is("Idle"))
      yield* gone(kept.pid())
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
      assert.deepStrictEqual(path(kept.events), ["Connected", "Idle", "Connecting", "Connected"])
      assert.strictEqual(yield* server.starts, 2)
    })
  )

  promise("does not end it under a call that takes longer", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const kept = yield* keep(server, { policy })
      assert.include(text(yield* kept.call(server.slow(1.5))), "done")
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
    })
  )

  promise("starts none before the first call when it is lazy", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const kept = yield* keep(server, { await: false, policy: { connect: "lazy" } })
      assert.deepStrictEqual([untimed(yield* kept.backend.state), kept.spawns], [{ _tag: "Idle" }, []])
      assert.include(text(yield* kept.call(server.echo("first"))), "first")
      assert.strictEqual(yield* server.starts, 1)
    })
  )
})

describe("when the scope closes, no process is left and every caller has an answer", () => {
  const promise = together()

  const alive = (kept: Kept) => kept.spawns.flatMap(({ pid }) => ProcessGroups.members(pid))

  promise("while it connects", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ startDelay: 60_000, ...stubborn })
      const { call, kept } = yield* Effect.scoped(
        Effect.gen(function* () {
          const kept = yield* keep(server, { await: false, connector })
          const call = yield* Effect.forkChild(Effect.flip(kept.call(server.echo("waiting"))), {
            startImmediately: true
          })
          yield* eventually(server.starts, (starts) => starts === 1)
          assert.strictEqual((yield* kept.backend.state)._tag, "Connecting")
          assert.isNotEmpty(alive(kept))
          return { call, kept }
        })
      )
      assert.deepStrictEqual(alive(kept), [])
      const error = yield* Fiber.join(call)
      assert.deepStrictEqual([error._tag, error.reason], ["CallRejected", "closed"])
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Closed" })
    })
  )

  promise("during a call", () =>
    Effect.gen(function* () {
      const server = yield* scripted(stubborn)
      const { call, kept } = yield* Effect.scoped(
        Effect.gen(function* () {
          const kept = yield* keep(server, { connector })
          const call = yield* Effect.forkChild(Effect.flip(kept.call(server.slow(60))))
          yield* executing(server)
          return { call, kept }
        })
      )
      assert.deepStrictEqual(alive(kept), [])
      const error = yield* Fiber.join(call)
      assert.deepStrictEqual([error._tag, error.reason], ["OutcomeUnknown", "closed"])
      const rejected = yield* Effect.flip(kept.call(server.echo("too late")))
      assert.deepStrictEqual([rejected._tag, rejected.reason], ["CallRejected", "closed"])
    })
  )

  promise("while a child is being ended", () =>
    Effect.gen(function* () {
      const server = yield* scripted(stubborn)
      const kept = yield* Effect.scoped(
        Effect.gen(function* () {
          const kept = yield* keep(server, { connector })
          yield* kept.backend.isolate
          assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Isolated" })
          assert.isNotEmpty(alive(kept))
          return kept
        })
      )
      assert.deepStrictEqual(alive(kept), [])
    })
  )

  promise("while a child is being replaced", () =>
    Effect.gen(function* () {
      const server = yield* scripted(stubborn)
      const kept = yield* Effect.scoped(
        Effect.gen(function* () {
          const kept = yield* keep(server, { connector })
          yield* Effect.forkChild(Effect.exit(kept.backend.reconnect))
          yield* kept.until(is("Connecting"))
          assert.isNotEmpty(alive(kept))
          return kept
        })
      )
      assert.deepStrictEqual(alive(kept), [])
      assert.strictEqual(kept.spawns.length, 1)
    })
  )
})
