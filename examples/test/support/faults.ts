/** The faults of the matrix: what is done to the server, and what its hosts do meanwhile. */
import type { KeepaliveEvent, KeepalivePolicy } from "@vmcp-keepalive/core"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Hosts, Outcomes } from "./hosts.ts"
import type { Stage, StaleSession, Wire } from "./stage.ts"

/** How the calls went. One that could not be made, since nothing was connected, went like the connecting. */
export interface Seen {
  /** of the call that meets the fault */
  readonly during: Outcomes
  /** of one when the server is well again */
  readonly after: Outcomes
}

export interface Fault {
  readonly name: string
  readonly wires: ReadonlyArray<Wire>
  /** Default: 404. */
  readonly staleSession?: StaleSession
  readonly policy?: KeepalivePolicy.Options
  readonly play: (stage: Stage, hosts: Hosts) => Effect.Effect<Seen, never, Scope.Scope>
  /** How a kept connection answers the call that meets the fault. */
  readonly during: "Answered" | "OutcomeUnknown" | "CallRejected"
}

const everyWire = ["http", "stdio"] as const
/** Milliseconds: longer than any row. */
const veryLong = 60_000

const became = (tag: string) => (event: KeepaliveEvent.KeepaliveEvent) =>
  event._tag === "StateChanged" && event.to._tag === tag

const after = (hosts: Hosts) => Effect.promise(() => hosts.echo("after", "patient"))

const killedIdle: Fault = {
  name: "killed while idle",
  wires: everyWire,
  during: "Answered",
  play: (stage, hosts) =>
    Effect.gen(function* () {
      yield* hosts.connectWell
      yield* stage.stop
      yield* hosts.until((event) => event._tag === "StateChanged" && event.from._tag === "Connected")
      const met = hosts.echo("during")
      yield* stage.start
      return { during: yield* Effect.promise(() => met), after: yield* after(hosts) }
    })
}

const killedInACall: Fault = {
  name: "killed in a call",
  wires: everyWire,
  during: "OutcomeUnknown",
  play: (stage, hosts) =>
    Effect.gen(function* () {
      yield* hosts.connectWell
      const met = hosts.slow(veryLong)
      yield* stage.executing("slow", hosts.size)
      yield* stage.stop
      yield* stage.start
      return { during: yield* Effect.promise(() => met), after: yield* after(hosts) }
    })
}

const frozen: Fault = {
  name: "frozen",
  wires: everyWire,
  during: "OutcomeUnknown",
  play: (stage, hosts) =>
    Effect.gen(function* () {
      yield* hosts.connectWell
      yield* stage.freeze
      const during = yield* Effect.promise(() => hosts.slow(0))
      yield* stage.thaw
      return { during, after: yield* after(hosts) }
    })
}

const forgotten = (status: StaleSession): Fault => ({
  name: `session forgotten, ${status}`,
  wires: ["http"],
  staleSession: status,
  during: "Answered",
  play: (stage, hosts) =>
    Effect.gen(function* () {
      yield* hosts.connectWell
      yield* stage.forget
      return { during: yield* Effect.promise(() => hosts.echo("during")), after: yield* after(hosts) }
    })
})

const downAtTheStart: Fault = {
  name: "down at the start",
  wires: everyWire,
  during: "Answered",
  play: (stage, hosts) =>
    Effect.gen(function* () {
      yield* stage.stop
      // Without this library nobody tries again later.
      if (hosts.way === "kept")
        yield* Effect.forkScoped(
          Effect.andThen(
            hosts.until(({ _tag }) => _tag === "AttemptFailed"),
            stage.start
          )
        )
      yield* hosts.connect
      return { during: yield* Effect.promise(() => hosts.echo("during")), after: yield* after(hosts) }
    })
}

const circuitOpen: Fault = {
  name: "circuit open",
  wires: everyWire,
  policy: { circuit: { failures: 2, openFor: "3 seconds" } },
  during: "CallRejected",
  play: (stage, hosts) =>
    Effect.gen(function* () {
      yield* hosts.connectWell
      yield* stage.stop
      yield* hosts.until(became("CircuitOpen"))
      const during = yield* Effect.promise(() => hosts.slow(veryLong))
      yield* stage.start
      yield* hosts.until((event) => event._tag === "AttemptSucceeded" && event.generation > 1)
      return { during, after: yield* after(hosts) }
    })
}

export const faults: ReadonlyArray<Fault> = [
  killedIdle,
  killedInACall,
  frozen,
  forgotten(404),
  forgotten(400),
  downAtTheStart,
  circuitOpen
]
