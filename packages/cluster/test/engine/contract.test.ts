/**
 * What our decorators count on of the engine that they decorate: an upgrade that changes it fails here, under its name, and not as a call that is
 * made twice.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import {
  ClusterError,
  MessageStorage,
  Reply,
  RunnerHealth,
  Runners,
  RunnerStorage,
  ShardingConfig,
  Snowflake
} from "effect/cluster"
import { Ticket } from "../../src/internal/once/ticket.ts"
import { away, engine, type Over, other, own, pass } from "./support.ts"

/** An engine beside another process, each with its part of the shards. */
const besideAnother = (over: Over = {}) =>
  Effect.gen(function* () {
    const made = yield* engine(over)
    made.members.set(other.host, true)
    yield* pass("2 seconds")
    assert.notInclude([made.idThatIs(true), made.idThatIs(false)], "none")
    return made
  })

/** Closes what it has made while time passes: an engine has time-outs for its end, too. */
const ending = <A, E, R>(body: Effect.Effect<A, E, R | Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const exit = yield* Effect.exit(Scope.provide(body, scope))
    const closing = yield* Effect.forkChild(Scope.close(scope, exit), { startImmediately: true })
    yield* pass("20 seconds")
    yield* Fiber.join(closing)
    return yield* exit
  })

const unavailable = new ClusterError.RunnerUnavailable({ address: other })

describe("the engine's `Runners`", () => {
  it.effect("is all ways on which a message leaves: each of these and no other", () =>
    Effect.gen(function* () {
      const ways = ["notify", "notifyLocal", "onRunnerUnavailable", "ping", "send", "sendLocal"]
      const layer = Layer.provide(Runners.layerNoop, [MessageStorage.layerNoop, ShardingConfig.layerDefaults])
      const keys = Object.keys(yield* Effect.provide(Effect.service(Runners.Runners), layer))
      assert.deepStrictEqual(keys.toSorted(), ways)
    })
  )

  it.effect("is asked to `send` what is kept by another process, and to `sendLocal` what is kept here", () =>
    Effect.gen(function* () {
      const sent: Array<string> = []
      const made = yield* besideAnother({
        runners: {
          send: ({ address, message }) => {
            sent.push(`send ${address.host} ${message._tag}`)
            return message._tag === "OutgoingRequest" ? Effect.never : Effect.void
          },
          sendLocal: ({ message }) => {
            sent.push(`sendLocal ${message._tag}`)
            return message._tag === "OutgoingRequest" ? Effect.never : Effect.void
          },
          notify: () => Effect.die("notify"),
          notifyLocal: () => Effect.die("notifyLocal")
        }
      })
      yield* made.serve
      const ask = yield* made.ask
      const askings = yield* Effect.all(
        [true, false].map((isHere) => Effect.forkChild(ask(made.idThatIs(isHere)), { startImmediately: true }))
      )
      yield* pass(0)
      assert.deepStrictEqual(sent, ["sendLocal OutgoingRequest", "send 10.0.0.2 OutgoingRequest"])
      // an interruption goes the way of its request
      sent.length = 0
      for (const asking of askings) yield* Fiber.interrupt(asking)
      assert.deepStrictEqual(sent, ["sendLocal OutgoingEnvelope", "send 10.0.0.2 OutgoingEnvelope"])
    })
  )

  for (const error of [unavailable, "not assigned"] as const)
    it.effect(
      `has what failed with ${typeof error === "string" ? "EntityNotAssignedToRunner" : error._tag} sent again, for ever: so it is ended here, by an answer`,
      () =>
        Effect.gen(function* () {
          const tries: Array<object> = []
          let isEnded = false
          const made = yield* besideAnother({
            runners: {
              send: ({ message }) => {
                tries.push(message)
                if (isEnded && message._tag === "OutgoingRequest")
                  return message.respond(
                    new Reply.WithExit<never>({
                      id: Snowflake.Snowflake("1"),
                      requestId: message.envelope.requestId,
                      exit: Exit.interrupt()
                    })
                  )
                return Effect.fail(
                  typeof error === "string"
                    ? new ClusterError.EntityNotAssignedToRunner({ address: message.envelope.address })
                    : error
                )
              }
            }
          })
          const ask = yield* made.ask
          const asking = yield* Effect.forkChild(ask(made.idThatIs(false)), { startImmediately: true })
          yield* pass("1 minute")
          assert.isAtLeast(tries.length, 500)
          assert.strictEqual(new Set(tries).size, 1)
          assert.isUndefined(asking.pollUnsafe())
          isEnded = true
          yield* pass("1 second")
          const exit = yield* Fiber.await(asking)
          assert(Exit.isFailure(exit))
          assert.isTrue(Cause.hasInterruptsOnly(exit.cause))
        })
    )

  it.effect("hands over the context of whoever asks with the message, and runs `send` in it", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const made = yield* besideAnother({
        runners: {
          send: ({ message }) =>
            Effect.gen(function* () {
              if (message._tag !== "OutgoingRequest") return
              seen.push(Context.getOption(message.context, Ticket))
              seen.push(yield* Effect.serviceOption(Ticket))
              return yield* Effect.never
            })
        }
      })
      const ask = yield* made.ask
      const ticket = { written: false }
      yield* Effect.forkChild(Effect.provideService(ask(made.idThatIs(false)), Ticket, ticket), {
        startImmediately: true
      })
      yield* pass(0)
      assert.deepStrictEqual(seen, [Option.some(ticket), Option.some(ticket)])
    })
  )

  it.effect("is told once of a process that is not listed any more, or no longer healthy", () =>
    Effect.gen(function* () {
      const gone: Array<string> = []
      const made = yield* besideAnother({
        runners: { onRunnerUnavailable: ({ host }) => Effect.sync(() => void gone.push(host)) }
      })
      made.members.set(other.host, false)
      yield* pass("1 second")
      assert.deepStrictEqual(gone, [other.host])
      made.members.set(other.host, true)
      yield* pass("1 second")
      made.members.delete(other.host)
      yield* pass("10 seconds")
      assert.deepStrictEqual(gone, [other.host, other.host])
    })
  )
})

describe("the engine's `RunnerStorage`", () => {
  it.effect("is all that it asks of a storage: each of these and no other", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(Object.keys(yield* RunnerStorage.makeMemory).toSorted(), [
        "acquire",
        "getRunners",
        "refresh",
        "register",
        "release",
        "releaseAll",
        "setRunnerHealth",
        "unregister"
      ])
    })
  )

  it.effect("registers this process before anything is acquired, and again where it is not found", () =>
    Effect.gen(function* () {
      const { log, members } = yield* engine()
      yield* pass("1 second")
      assert.deepStrictEqual(log.filter((what) => !what.startsWith("refresh")).slice(0, 2), ["register", "acquire 300"])
      members.delete(own.host)
      yield* pass("1 second")
      assert.strictEqual(log.filter((what) => what === "register").length, 2)
    })
  )

  it.effect("is asked four times a second who takes part", () =>
    Effect.gen(function* () {
      const { polls } = yield* besideAnother()
      const before = polls.of
      yield* pass("10 seconds")
      assert.isAtLeast(polls.of - before, 39)
      assert.isAtMost(polls.of - before, 41)
    })
  )

  it.effect("has a second between two attempts to acquire: so it is looked again within one", () =>
    Effect.gen(function* () {
      const { log } = yield* engine({ storage: { acquire: () => Effect.succeed([]) } })
      yield* pass("10 seconds")
      const attempts = log.filter((what) => what === "acquire 300").length
      assert.isAtLeast(attempts, 9)
      assert.isAtMost(attempts, 11)
    })
  )

  it.effect("has every lease refreshed each sixth of a lease; what is not confirmed is ended and given back", () =>
    Effect.gen(function* () {
      const lost: { shard?: string } = {}
      const made = yield* engine({
        storage: {
          refresh: (_, shards) => Effect.sync(() => [...shards].filter((shard) => shard.toString() !== lost.shard))
        }
      })
      yield* pass("1 second")
      const before = made.log.filter((what) => what === "refresh 300").length
      yield* pass("15 seconds")
      assert.strictEqual(made.log.filter((what) => what === "refresh 300").length - before, 6)

      yield* made.serve
      const ask = yield* made.ask
      const id = made.idThatIs(true)
      assert.strictEqual(yield* ask(id), "answer")
      lost.shard = made.shardOf(id).toString()
      made.log.length = 0
      yield* pass("2500 millis")
      assert.include(made.log, "entity ends")
      assert.isAbove(made.log.indexOf("release"), made.log.indexOf("entity ends"))
    })
  )

  for (const [how, failing] of [
    ["fails a refresh for a quarter of a second", Effect.fail(away)],
    ["lets a refresh hang until the next one", Effect.never]
  ] as const)
    it.effect(`that ${how} costs everything: so a refresh is patient`, () => {
      const storage = { isAway: false }
      const body = Effect.gen(function* () {
        const made = yield* engine({
          // the empty refresh is asked for once, and run many times
          storage: {
            refresh: (_, shards) => Effect.suspend(() => (storage.isAway ? failing : Effect.succeed([...shards])))
          }
        })
        yield* pass("1 second")
        yield* made.serve
        const ask = yield* made.ask
        const id = made.idThatIs(true)
        yield* ask(id)
        storage.isAway = true
        made.log.length = 0
        yield* pass("8 seconds")
        assert.isFalse(made.isHere(id))
        assert.include(made.log, "entity ends")
        // it is asked with an empty refresh whether it is back, and before that nothing is given back
        assert.include(made.log, "refresh 0")
        assert.notInclude(made.log, "releaseAll")
        storage.isAway = false
        yield* pass("6 seconds")
        assert.isTrue(made.isHere(id))
        assert.isBelow(made.log.indexOf("releaseAll"), made.log.indexOf("acquire 300"))
      })
      return ending(body)
    })

  it.effect("is left in this order: unregistered, then every entity ends, then its lease is given back, then all", () =>
    Effect.gen(function* () {
      const log = yield* ending(
        Effect.gen(function* () {
          const made = yield* engine()
          yield* pass("1 second")
          yield* made.serve
          yield* (yield* made.ask)(made.idThatIs(true))
          made.log.length = 0
          return made.log
        })
      )
      const order = [...new Set(log.filter((what) => !what.startsWith("refresh")))]
      assert.deepStrictEqual(order, ["unregister", "entity ends", "release", "releaseAll"])
    })
  )
})

describe("the engine's `RunnerHealth`", () => {
  it.effect(
    "is asked of each process that takes part; one that is not alive is unhealthy, but never the last one",
    () =>
      Effect.gen(function* () {
        const dead = new Set<string>()
        const made = yield* besideAnother({ health: { isAlive: ({ host }) => Effect.sync(() => !dead.has(host)) } })
        dead.add(other.host)
        yield* pass("2 seconds")
        dead.add(own.host)
        yield* pass("1 minute")
        const said = made.log.filter((what) => what.endsWith("healthy"))
        assert.deepStrictEqual(said, [`${other.host} unhealthy`])
      })
  )

  it.effect("is one question, and no more", () =>
    Effect.gen(function* () {
      const { isAlive, ...more } = yield* Effect.provide(
        Effect.service(RunnerHealth.RunnerHealth),
        RunnerHealth.layerNoop
      )
      assert.isTrue(yield* isAlive(other))
      assert.deepStrictEqual(more, {})
    })
  )
})
