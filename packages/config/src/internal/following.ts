/**
 * A fleet that is kept as what is read says.
 */
import type { Fleet } from "@vmcp-keepalive/core"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { ConfigFileError } from "../ConfigFileError.ts"
import type { Applied, Loaded, Taking } from "../KeepaliveConfig.ts"

type Read = Result.Result<Loaded, ConfigFileError>

/** See `KeepaliveConfig.follow`. */
export const make = <R>(
  reads: Stream.Stream<Read, never, R>,
  fleet: Taking,
  retry: Duration.Input
): Stream.Stream<Result.Result<Applied, ConfigFileError | Fleet.FleetConfigurationError>, never, R> =>
  Stream.unwrap(
    Effect.gen(function* () {
      // what is read while the fleet is busy is overtaken by what is read later
      const latest = yield* Queue.sliding<Read>(1)
      yield* Effect.forkScoped(Stream.runForEach(reads, (read) => Queue.offer(latest, read)))
      let refused: Refused | undefined
      /** What was read, or, where the fleet refused it and nothing else comes, the same again. */
      const awaited = Effect.suspend((): Effect.Effect<Read> => {
        if (refused === undefined) return Queue.take(latest)
        const { loaded } = refused
        return Effect.map(
          Effect.timeoutOption(Queue.take(latest), retry),
          Option.getOrElse(() => Result.succeed(loaded))
        )
      })
      const next = Effect.gen(function* () {
        while (true) {
          const read = yield* awaited
          if (Result.isFailure(read)) {
            refused = undefined
            return Result.fail(read.failure)
          }
          const { specs, warnings } = read.success
          const applied = yield* Effect.result(fleet.apply(specs))
          if (Result.isSuccess(applied)) {
            refused = undefined
            return Result.succeed({ changes: applied.success, warnings })
          }
          const { failure } = applied
          const isTold = Equal.equals(refused?.errors, failure.errors)
          refused = { loaded: read.success, errors: failure.errors }
          if (!isTold) return Result.fail(failure)
        }
      })
      return Stream.fromEffectRepeat(next)
    })
  )

/** What the fleet did not take, and why. */
interface Refused {
  readonly loaded: Loaded
  readonly errors: Fleet.FleetConfigurationError["errors"]
}
