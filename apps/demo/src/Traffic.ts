/** Calls tools of every backend all the time, each with a message of its own, and writes down what comes of them. */
import type { BackendError } from "@vmcp-keepalive/core"
import type { McpServer } from "@vmcp-keepalive/testkit"
import { Duration, Effect, Fiber, Schedule } from "effect"
import type { Scope } from "effect"
import { longestCall } from "./Expectation.ts"
import type { Call, Journal, Outcome } from "./Journal.ts"
import type { Place } from "./Place.ts"

export interface Traffic {
  /** Calls nothing of itself until `resume`; returns when what was called has settled. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** Calls something slow; returns as soon as the server executes it, with what waits until the call has settled. */
  readonly callSlow: (call: SlowCall) => Effect.Effect<Effect.Effect<void>>
  /** From now on it calls less often, and with messages that come again: what servers write down of them stays small. */
  readonly relax: Effect.Effect<void>
}

/** A call that takes so many seconds. */
export interface SlowCall {
  readonly slow: (seconds: number) => McpServer.Call
  readonly seconds: number
  readonly idempotent: boolean
}

/** Time from one call to the next. */
export const spacing = Duration.millis(250)

/** How many times that it is once it is relaxed, and how many messages it then has. */
const relaxed = { every: 4, messages: 64 }

/** As many calls as may wait at once; no further ones begin meanwhile. */
const atMost = 12

/** What identifies a call among those that the server executed: arguments are not in the order in which they were sent. */
export const keyOf = (tool: string, args: unknown): string => {
  const entries = typeof args === "object" && args !== null ? Object.entries(args) : []
  return `${tool} ${JSON.stringify(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))}`
}

/** A single call, of which nothing is written down. */
export const callTool = (
  { backend }: Place,
  { arguments: args, name }: McpServer.Call,
  options: { readonly idempotent: boolean }
): Effect.Effect<unknown, BackendError.CallError> =>
  backend.use(
    (peer, signal) => peer.request({ method: "tools/call", params: { name, arguments: args } }, { signal }),
    options
  )

/** Begins to call; ends with the scope. Every second call is idempotent. */
export const make = (place: Place, journal: Journal): Effect.Effect<Traffic, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    let calls = 0
    let inFlight = 0
    let isPaused = false
    let isRelaxed = false

    const call = (tool: McpServer.Call, idempotent: boolean): Effect.Effect<void> =>
      Effect.suspend(() => {
        const key = keyOf(tool.name, tool.arguments)
        const begun: Call = { backend: place.id, key, idempotent, startedAt: performance.now() }
        const ended = (outcome: Outcome, error?: BackendError.CallError) =>
          Effect.sync(() => {
            begun.endedAt = performance.now()
            begun.outcome = outcome
            begun.reason = error?.reason
            begun.detail = error === undefined || error._tag === "CallFailed" ? undefined : error.detail
            journal.add(place.id, { _tag: "CallEnded", call: begun })
          })
        journal.begin(begun)
        inFlight++
        return callTool(place, tool, { idempotent }).pipe(
          Effect.matchEffect({
            onSuccess: () => ended("ok"),
            onFailure: (error) => ended(outcomeOf(error), error)
          }),
          // A call that has not settled by then never ended, and is told from others by that.
          Effect.timeoutOption(Duration.sum(longestCall, Duration.seconds(1))),
          Effect.ensuring(Effect.sync(() => inFlight--))
        )
      })

    yield* Effect.suspend(() => {
      if (isPaused || inFlight >= atMost) return Effect.void
      calls++
      if (isRelaxed && calls % relaxed.every !== 0) return Effect.void
      const message = place.server.echo(
        isRelaxed ? `${place.id} again ${calls % (relaxed.every * relaxed.messages)}` : `${place.id} ${calls}`
      )
      return Effect.asVoid(Effect.forkIn(call(message, (isRelaxed ? calls / relaxed.every : calls) % 2 === 0), scope))
    }).pipe(Effect.repeat(Schedule.spaced(spacing)), Effect.forkIn(scope))

    return {
      pause: Effect.suspend(() => {
        isPaused = true
        return waitUntil(() => inFlight === 0)
      }),
      resume: Effect.sync(() => {
        isPaused = false
      }),
      callSlow: ({ idempotent, seconds, slow }) =>
        Effect.gen(function* () {
          // Thousandths of a second make it another call.
          const tool = slow(seconds + ++calls / 1000)
          const key = keyOf(tool.name, tool.arguments)
          const fiber = yield* Effect.forkIn(call(tool, idempotent), scope)
          yield* executions(place).pipe(
            Effect.repeat({ schedule: Schedule.spaced("20 millis"), until: (executed) => executed.has(key) }),
            Effect.timeoutOption("5 seconds")
          )
          return Effect.asVoid(Fiber.await(fiber))
        }),
      relax: Effect.sync(() => {
        isRelaxed = true
      })
    }
  })

/** How often a server executed each call, by its key. */
export const executions = (place: Place): Effect.Effect<ReadonlyMap<string, number>> =>
  Effect.map(place.server.executions, (executed) => {
    const counts = new Map<string, number>()
    for (const { arguments: args, tool } of executed) {
      const key = keyOf(tool, args)
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    return counts
  })

const waitUntil = (holds: () => boolean) =>
  Effect.sync(holds).pipe(
    Effect.repeat({ schedule: Schedule.spaced("10 millis"), until: (held) => held }),
    Effect.asVoid
  )

const outcomeOf = (error: BackendError.CallError): Outcome => {
  switch (error._tag) {
    case "CallFailed":
      return "failed"
    case "OutcomeUnknown":
      return "unknown"
    case "SessionUnavailable":
    case "CallRejected":
      return "rejected"
  }
}
