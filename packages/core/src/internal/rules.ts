/**
 * The rules that the cells of the transition table name: what follows for the session, the next attempt and the next
 * probe. Pure, as the table is.
 */
import * as Duration from "effect/Duration"
import type { Action } from "../Action.ts"
import type { ConnectionState } from "../ConnectionState.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { Signal } from "../Signal.ts"
import type { Model, Rules, Running, Step } from "../Model.ts"
import {
  alive,
  arm,
  drop,
  dropOpen,
  generationOf,
  isOpenQuestion,
  isReplacing,
  nextProbe,
  none,
  onto,
  settle,
  stabilized,
  stay,
  stop,
  also,
  weightier
} from "./steps.ts"

// ----------------------------------------------------------------------------------------------- attempts and sessions

export const attempt = (model: Model): Step => {
  const next = { ...model, doubt: undefined, upstream: false, resting: false }
  return run({ ...next, state: connecting(next) }, "attempt", { before: [{ _tag: "Disarm", timer: "attempt" }] })
}

export const connecting = (model: Model): ConnectionState => ({
  _tag: "Connecting",
  attempt: model.failures + 1,
  trial: model.openings > 0
})

export const replace = (model: Model): Step => run(model, "attempt")

/** A replacement that cannot stand beside the session it replaces. */
export const supersede = (model: Model): Step =>
  onto({ model, actions: [drop(model, "closed"), settle("doubters")] }, attempt(model))

export const adopt = (rules: Rules, model: Model, probed: boolean): Step => {
  const generation = model.generation + 1
  const predecessor = generationOf(model.state)
  const adopted: Model = {
    ...model,
    state: { _tag: "Connected", generation },
    running: undefined,
    generation,
    stable: "no",
    probed,
    deep: false,
    resting: false,
    upstream: false,
    doubt: undefined,
    refreshed: false
  }
  return {
    model: adopted,
    actions: [
      { _tag: "Adopt", generation },
      ...(predecessor === undefined ? none : [drop(model, "closed", "drainTimeout")]),
      { _tag: "Reset", schedule: "cadence" },
      { _tag: "Reset", schedule: "confirm" },
      arm("stable", "stableAfter"),
      ...nextProbe(adopted),
      ...(rules.sleepsWhenIdle ? [arm("idle", "idleAfter", { from: "call" })] : none),
      settle("doubters"),
      settle("waiters")
    ]
  }
}

/** A replacement that the server refused may be refused because of the session it should replace: that one goes first. */
export const replacementFailed = (model: Model, reason: FailureReason): Step =>
  reason === "http_4xx" || reason === "protocol"
    ? supersede({ ...model, running: undefined })
    : probe({ ...model, running: undefined })

export const attemptFailed = (rules: Rules, model: Model, reason: FailureReason): Step => {
  const failures = model.failures + 1
  if (model.openings > 0 || failures >= rules.circuitFailures) {
    const openings = model.openings + 1
    return {
      model: { ...model, state: { _tag: "CircuitOpen", openings, reason }, running: undefined, failures, openings },
      actions: [
        { _tag: "Emit", happening: { _tag: "CircuitOpened", openings, reason } },
        arm("attempt", "openFor"),
        settle("waiters")
      ]
    }
  }
  return {
    model: { ...model, state: { _tag: "Disconnected", attempt: failures, reason }, running: undefined, failures },
    actions: [arm("attempt", "backoff"), settle("waiters")]
  }
}

/** Alive, so no failure is counted; without a time to wait for, the schedule that would be next gives one. */
export const attemptBusy = (model: Model, retryAfter: Duration.Duration | undefined): Step => {
  const isOpen = model.openings > 0
  const schedule = retryAfter === undefined ? (isOpen ? "openFor" : "backoff") : "retryAfter"
  return {
    model: {
      ...model,
      state: isOpen
        ? { _tag: "CircuitOpen", openings: model.openings, reason: "busy" }
        : { _tag: "Disconnected", attempt: model.failures, reason: "busy" },
      running: undefined
    },
    actions: [arm("attempt", schedule, { notBefore: retryAfter }), settle("waiters")]
  }
}

export const needsAuth = (model: Model): Step => ({
  model: { ...model, state: { _tag: "NeedsAuth" }, running: undefined },
  actions: [...dropOpen(model, "auth"), arm("attempt", "openFor"), settle("doubters"), settle("waiters")]
})

/**
 * The session is dead. A stable one is replaced at once; one that was lost earlier counts as a failed attempt.
 *
 * A server that has only forgotten the session is alive, and refuses or cuts what is still under way on it, in no more
 * time than a probe may take. Its word is awaited: it tells a call that was refused from one that may have been executed.
 */
export const lose = (rules: Rules, model: Model, reason: FailureReason): Step => {
  const dropped = drop(model, reason, reason === "session_lost" && !rules.exclusive ? "timeout" : undefined)
  const orphan = { ...model, doubt: undefined, upstream: false, resting: false }
  if (isReplacing(model)) {
    return { model: { ...orphan, state: connecting(orphan) }, actions: [dropped, settle("doubters")] }
  }
  const stopped = model.running ? [stop, dropped] : [dropped]
  const next =
    model.stable === "yes" ? attempt({ ...orphan, running: undefined }) : attemptFailed(rules, orphan, reason)
  return { model: next.model, actions: [...stopped, settle("doubters"), ...next.actions] }
}

/** To a state without session, attempt or timer. */
export const leave = (model: Model, state: ConnectionState): Step => ({
  model: { ...model, state, running: undefined, doubt: undefined, upstream: false, resting: false },
  actions: [
    ...(model.running ? [stop] : none),
    { _tag: "Disarm", timer: "attempt" },
    ...dropOpen(model, "closed"),
    ...(state._tag === "Idle" ? none : [{ _tag: "DropDraining" } as const]),
    settle("doubters"),
    settle("waiters")
  ]
})

// ------------------------------------------------------------------------------------------------------------ probes

export const probe = (model: Model): Step =>
  model.deep || (model.upstream && !model.resting)
    ? deepProbe(model)
    : run({ ...model, doubt: undefined }, "probe", { decides: model.doubt })

export const deepProbe = (model: Model): Step =>
  run({ ...model, doubt: undefined, upstream: false, resting: true }, "deepProbe", {
    decides: model.doubt,
    before: [arm("deep", "confirmInterval")]
  })

export const passed = (model: Model): Step => {
  const running = model.running
  const well = alive({
    ...model,
    running: undefined,
    refreshed: false,
    deep: running?.kind === "deepProbe" ? false : model.deep
  })
  const proven = well.stable === "due" ? stabilized(well) : stay(well)
  const decided = running?.decides === undefined || well.doubt !== undefined ? none : [settle("doubters")]
  const next = isOpenQuestion(well) ? onto(proven, probe(proven.model)) : also(proven, ...nextProbe(proven.model))
  return also(next, ...decided)
}

export const missed = (rules: Rules, model: Model, signal: Extract<Signal, { _tag: "Failed" }>): Step => {
  const { kind, decides, jumped } = model.running ?? { kind: "probe", decides: undefined, jumped: false }
  if (signal.late || jumped) return again(model, {})
  if (signal.reason === "session_lost" && decides !== "session") return again({ ...model, doubt: "session" }, {})

  const held =
    signal.reason === "timeout" && signal.callInFlight && Duration.isLessThan(signal.silentFor, rules.inFlightGrace)
  if (signal.reason === "session_lost" || (decides === "stale" && !held)) return lose(rules, model, signal.reason)

  const missedBefore = model.state._tag === "Unhealthy" ? model.state.failures : 0
  const failures = held ? Math.min(missedBefore + 1, rules.failureThreshold - 1) : missedBefore + 1
  // a probe that was not rejected speaks for the credentials, however it failed
  const isDecided = decides === "auth"
  const doubted = {
    ...model,
    running: undefined,
    deep: model.deep || kind === "deepProbe",
    doubt: decides === undefined || isDecided ? model.doubt : weightier(model.doubt, decides)
  }
  if (failures >= rules.failureThreshold) return lose(rules, doubted, signal.reason)
  const generation = generationOf(model.state) ?? model.generation
  const isSame =
    failures === missedBefore &&
    (failures === 0 || (model.state._tag === "Unhealthy" && model.state.reason === signal.reason))
  return {
    model: isSame ? doubted : { ...doubted, state: { _tag: "Unhealthy", generation, failures, reason: signal.reason } },
    actions: [arm("probe", "confirm"), ...(isDecided ? [settle("doubters")] : none)]
  }
}

/** The same once more, in place of the one that ended without a verdict. */
export const again = (model: Model, options: { readonly refresh?: boolean }): Step => {
  const { kind, decides } = model.running ?? { kind: "probe", decides: undefined }
  return run({ ...model, doubt: undefined }, kind, {
    decides: decides === undefined ? model.doubt : weightier(model.doubt, decides),
    refresh: options.refresh ?? false
  })
}

export const run = (
  model: Model,
  kind: Running["kind"],
  options: {
    readonly decides?: Running["decides"]
    readonly refresh?: boolean
    readonly before?: ReadonlyArray<Action>
  } = {}
): Step => {
  const id = model.runs + 1
  return {
    model: { ...model, runs: id, running: { run: id, kind, decides: options.decides, jumped: false } },
    actions: [
      ...(options.before ?? none),
      {
        _tag: "Run",
        run: id,
        kind,
        deep: model.deep,
        refresh: options.refresh ?? false,
        counted: kind === "attempt" || model.probed
      }
    ]
  }
}
