/** The faults of the matrix: what is done to the server, and what a host does meanwhile. */
import type { KeepaliveEvent, KeepalivePolicy } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Outcome, Play } from "./row.ts"
import type { StaleSession, Wire } from "./stage.ts"

/** How the calls went that a row makes. A call that could not be made, since nothing was connected, went like the connecting. */
export interface Seen {
  /** of the call that meets the fault */
  readonly during: Outcome
  /** of one when the server is well again */
  readonly after: Outcome
}

export interface Fault {
  readonly name: string
  readonly wires: ReadonlyArray<Wire>
  readonly staleSession?: StaleSession
  readonly policy?: KeepalivePolicy.Options
  readonly play: (play: Play) => Effect.Effect<Seen, Outcome, Scope.Scope>
  /** What a kept connection answers to the call that meets the fault. */
  readonly during: "Answered" | "OutcomeUnknown" | "CallRejected"
}

const everyWire = ["http", "stdio"] as const

const became = (tag: string) => (event: KeepaliveEvent.KeepaliveEvent) =>
  event._tag === "StateChanged" && event.to._tag === tag

const during = { message: "during" }
const after = { message: "after" }
/** Longer than any row. */
const slow = { ms: 60_000 }

const killedIdle: Fault = {
  name: "killed while idle",
  wires: everyWire,
  during: "Answered",
  play: ({ call, connectWell, stage }) =>
    Effect.gen(function* () {
      const host = yield* connectWell
      yield* stage.stop
      const met = call(host, "echo", during)
      yield* stage.start
      return {
        during: yield* Effect.promise(() => met),
        after: yield* Effect.promise(() => call(host, "echo", after))
      }
    })
}

const killedInACall: Fault = {
  name: "killed in a call",
  wires: everyWire,
  during: "OutcomeUnknown",
  play: ({ call, connectWell, stage }) =>
    Effect.gen(function* () {
      const host = yield* connectWell
      const met = call(host, "slow", slow)
      yield* stage.executing("slow")
      yield* stage.stop
      yield* stage.start
      return {
        during: yield* Effect.promise(() => met),
        after: yield* Effect.promise(() => call(host, "echo", after))
      }
    })
}

const frozen: Fault = {
  name: "frozen",
  wires: everyWire,
  during: "OutcomeUnknown",
  play: ({ call, connectWell, stage }) =>
    Effect.gen(function* () {
      const host = yield* connectWell
      yield* stage.freeze
      const met = yield* Effect.promise(() => call(host, "slow", { ms: 0 }))
      yield* stage.thaw
      return { during: met, after: yield* Effect.promise(() => call(host, "echo", after)) }
    })
}

const stale = (status: StaleSession): Fault => ({
  name: `session forgotten, ${status}`,
  wires: ["http"],
  staleSession: status,
  during: "Answered",
  play: ({ call, connectWell, stage }) =>
    Effect.gen(function* () {
      const host = yield* connectWell
      yield* stage.forget
      return {
        during: yield* Effect.promise(() => call(host, "echo", during)),
        after: yield* Effect.promise(() => call(host, "echo", after))
      }
    })
})

const downAtStart: Fault = {
  name: "down at the start",
  wires: everyWire,
  during: "Answered",
  play: ({ call, connect, isKept, stage, until }) =>
    Effect.gen(function* () {
      yield* stage.stop
      const isTried = until(({ _tag }) => _tag === "AttemptFailed")
      // Without this library there is nobody who tries again later.
      if (isKept) yield* Effect.forkScoped(Effect.andThen(isTried, stage.start))
      const host = yield* connect
      return {
        during: yield* Effect.promise(() => call(host, "echo", during)),
        after: yield* Effect.promise(() => call(host, "echo", after))
      }
    })
}

const circuitOpen: Fault = {
  name: "circuit open",
  wires: everyWire,
  policy: { circuit: { failures: 2, openFor: "2 seconds" } },
  during: "CallRejected",
  play: ({ call, connectWell, stage, until }) =>
    Effect.gen(function* () {
      const host = yield* connectWell
      yield* stage.stop
      yield* until(became("CircuitOpen"))
      const met = yield* Effect.promise(() => call(host, "slow", slow))
      const isBack = until((event) => event._tag === "AttemptSucceeded" && event.generation > 1)
      yield* stage.start
      yield* isBack
      return { during: met, after: yield* Effect.promise(() => call(host, "echo", after)) }
    })
}

export const faults: ReadonlyArray<Fault> = [
  killedIdle,
  killedInACall,
  frozen,
  stale(404),
  stale(400),
  downAtStart,
  circuitOpen
]
