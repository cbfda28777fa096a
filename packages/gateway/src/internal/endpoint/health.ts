/**
 * What a platform asks a gateway: whether its process works, and whether what it is required for is there.
 */
import type { ConnectionState, Fleet } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** What of a fleet is looked at. */
export type Observed = Pick<Fleet.Fleet<unknown>, "get" | "states">

/** Whether every backend is there whose policy says `required`, and those that are not. */
export interface Readiness {
  readonly ready: boolean
  readonly missing: ReadonlyArray<{ readonly backend: string; readonly state: ConnectionState.ConnectionState["_tag"] }>
}

/** Those that answer: a session is open, also one whose last probe was missed. */
const serving: ReadonlySet<string> = new Set(["Connected", "Unhealthy"])

/** Looks at the fleet now. One that is `Idle` is connected by the first call. */
export const readiness = (fleet: Observed): Effect.Effect<Readiness> =>
  Effect.gen(function* () {
    const missing: Array<Readiness["missing"][number]> = []
    for (const [backend, { _tag: state }] of yield* fleet.states) {
      if (serving.has(state) || state === "Idle") continue
      const member = yield* fleet.get(backend)
      if (Option.isSome(member) && (yield* member.value.policy).required) missing.push({ backend, state })
    }
    return { ready: missing.length === 0, missing }
  })
