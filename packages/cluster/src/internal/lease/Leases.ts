/**
 * The leases of this process: decorates the engine's `RunnerStorage`, through which every lock of a shard is taken, refreshed and given back.
 *
 * - What was confirmed is known, by both clocks, so that nothing leaves this process for a backend without it; nor from when the storage says that it has
 *   the shard no more.
 * - A refresh is patient: the engine drops everything 250 ms after the first that fails, while nobody can take a row whose lease has not run out. One that
 *   fails is tried again; what is certain until well after the next one is held meanwhile.
 * - What has been asked is not broken off: the engine makes its connection anew then, and with the old one goes all that is under way on it.
 * - Taking a shard looks again: the engine waits a second after each attempt, also where the one before needed 50 ms more.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { ClusterError, RunnerStorage, type ShardId } from "effect/cluster"
import { Certainty, type Moment } from "./certainty.ts"

export class Leases extends Context.Service<
  Leases,
  {
    /** whether it is certain now that this process, and no other, has the shard */
    readonly holds: (shard: ShardId.ShardId) => boolean
    /** for how many milliseconds that is certain */
    readonly left: (shard: ShardId.ShardId) => number
  }
>()("@vmcp-keepalive/cluster/Leases") {}

export interface Options {
  readonly lease: Duration.Duration
  /** between two refreshes */
  readonly refresh: Duration.Duration
}

/** The part of a lease that is not counted on: for what is under way between a look at it and the socket. */
const margin = 0.1
/** How many attempts a refresh has within its interval. */
const attempts = 2
/** When in an interval it is decided that no answer of the storage will come in time, and what must be left then for a shard to be kept. */
const decided = 0.7
const needed = 1.3
/** How often taking looks again at most, how many milliseconds after the look before, and for which part of an interval in all. */
const mostLooks = 7
const pause = 80
const looking = 0.6

/** How long a process that ends waits for the storage to say so to the others. */
const patience = "1 second"

/** The decorated storage, and what it knows. */
export const layer = (
  options: Options
): Layer.Layer<RunnerStorage.RunnerStorage | Leases, never, RunnerStorage.RunnerStorage> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const inner = yield* RunnerStorage.RunnerStorage
      const clock = yield* Clock.Clock
      const lease = Duration.toMillis(options.lease)
      const interval = Duration.toMillis(options.refresh)
      const looks = Math.min(mostLooks, Math.floor((interval * looking) / pause))
      const certainty = new Certainty(lease * (1 - margin))

      const now = (): Moment => ({
        monotonic: Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
        wall: clock.currentTimeMillisUnsafe()
      })
      const scope = yield* Effect.scope
      const begun = <A, E>(ask: Effect.Effect<A, E>) => Effect.forkIn(ask, scope, { startImmediately: true })
      /** Runs to its end, also where whoever waits for it is interrupted. */
      const whole = <A, E>(ask: Effect.Effect<A, E>) => Effect.flatMap(begun(ask), Fiber.join)
      const left = (shard: ShardId.ShardId) => certainty.left(shard.toString(), now())

      /** What the storage says of these counts from when it was asked. */
      const known = (
        shards: ReadonlyArray<ShardId.ShardId>,
        ask: Effect.Effect<Array<ShardId.ShardId>, ClusterError.PersistenceError>
      ) =>
        Effect.suspend(() => {
          const asked = now()
          return Effect.tap(ask, (held) =>
            Effect.sync(() => certainty.answered(shards.map(String), new Set(held.map(String)), asked))
          )
        })

      const storage = RunnerStorage.RunnerStorage.of({
        ...inner,
        acquire: (address, shards) => {
          const look = (
            missing: ReadonlyArray<ShardId.ShardId>,
            again: number
          ): Effect.Effect<Array<ShardId.ShardId>, ClusterError.PersistenceError> =>
            Effect.gen(function* () {
              const taken = yield* whole(known(missing, inner.acquire(address, missing)))
              const names = new Set(taken.map(String))
              const rest = missing.filter((shard) => !names.has(shard.toString()))
              if (rest.length === 0 || again === 0) return taken
              yield* Effect.sleep(pause)
              // What was taken is told also where a further look fails.
              return [...taken, ...(yield* Effect.orElseSucceed(look(rest, again - 1), () => []))]
            })
          return Effect.suspend(() => look([...shards], looks))
        },
        refresh: (address, asked) => {
          const shards = [...asked]
          // An attempt on a dead connection would hang for the whole interval.
          const attempt = Effect.flatMap(begun(known(shards, inner.refresh(address, shards))), (fiber) =>
            Effect.timeout(Fiber.join(fiber), interval / attempts).pipe(
              Effect.tapError(() => Effect.sync(() => fiber.interruptUnsafe()))
            )
          )
          const persistent = Effect.retry(attempt, Schedule.spaced("100 millis"))
          const held = Effect.suspend(() => {
            const certain = shards.filter((shard) => left(shard) > needed * interval)
            return certain.length > 0 ? Effect.succeed(certain) : Effect.never
          })
          const refreshed = Effect.raceFirst(persistent, Effect.delay(held, interval * decided))
          return Effect.catchTag(refreshed, "TimeoutError", () => Effect.never)
        },
        // The engine waits for it, and without it the row runs out.
        unregister: (address) =>
          Effect.timeoutOrElse(whole(inner.unregister(address)), {
            duration: patience,
            orElse: () => Effect.fail(new ClusterError.PersistenceError({ cause: "no answer" }))
          }),
        release: (address, shard) =>
          Effect.suspend(() => {
            certainty.forget(shard.toString(), now())
            return whole(inner.release(address, shard))
          }),
        releaseAll: (address) =>
          Effect.suspend(() => {
            certainty.forgetAll(now())
            return whole(inner.releaseAll(address))
          })
      })
      return Context.make(RunnerStorage.RunnerStorage, storage).pipe(
        Context.add(Leases, { left, holds: (shard) => left(shard) > 0 })
      )
    })
  )
