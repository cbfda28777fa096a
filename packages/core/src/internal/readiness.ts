/**
 * Waiting for the backends that must be there before a host is ready.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { ConnectionState } from "../ConnectionState.ts"
import type { Awaited } from "../Fleet.ts"
import { FleetNotReady } from "./fleetErrors.ts"

interface Missing {
  readonly backend: string
  readonly state: ConnectionState
}

/** What is wrong with one that must be connected and is not, once its time is over. */
const missing = ({ backend, madeAt }: Awaited): Effect.Effect<Option.Option<Missing>> =>
  Effect.gen(function* () {
    const { required, startDeadline } = yield* backend.policy
    if (!required) return Option.none()
    const now = Number(yield* Clock.monotonicTimeNanos) / 1e6
    const left = Math.max(0, madeAt + Duration.toMillis(startDeadline) - now)
    const waited = yield* Effect.timeoutOption(Effect.result(backend.awaitConnected), left)
    const state = yield* backend.state
    if (Option.isSome(waited) && Result.isSuccess(waited.value)) return Option.none()
    // one that was removed meanwhile is required no longer
    return state._tag === "Closed" ? Option.none() : Option.some({ backend: backend.id, state })
  })

/** See `Fleet.awaitReady`. */
export const awaitReady = (members: Iterable<Awaited>): Effect.Effect<void, FleetNotReady> =>
  Effect.gen(function* () {
    const found = yield* Effect.forEach([...members], missing, { concurrency: "unbounded" })
    const backends = found.flatMap(Option.toArray)
    if (backends.length > 0) return yield* new FleetNotReady({ backends })
  })
