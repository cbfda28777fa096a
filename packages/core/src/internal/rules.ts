/**
 * The rules that the cells of the transition table name: what follows for the session, the next attempt and the next
 * probe. Pure, as the table is.
 */
import * as Duration from "effect/Duration"
import type { Action } from "../engine/Action.ts"
import { reasonOf, type Untimed } from "../ConnectionState.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { Attention } from "../engine/Probe.ts"
import type { Signal } from "../engine/Signal.ts"
import type { Model, Rules, Running, Step } from "../engine/Model.ts"
import {
  alive,
  arm,
  disarm,
  drop,
  dropOpen,
  forgiven,
  generationOf,
  isOpenQuestion,
  isReplacing,
  nextProbe,
  none,
  onto,
  resetSchedules,
  settle,
  stabilized,
  stay,
  stop,
  also,
  type Drop,
  undoubted,
  weightier
} from "./steps.ts"

// ----------------------------------------------------------------------------------------------- attempts and sessions

export const attempt = (model: Model): Step => attemptAfter(model, reasonOf(model.state))

/** With nothing remembered of what was before, as an operator's `reset` wants it. */
export const attemptAfresh = (model: Model): Step => also(attemptAfter(forgiven(model), undefined), ...resetSchedules)

/**
 * An attempt that waits for its time, under schedules that have begun anew: never later than it was due, and where the server asked
 * for time, not sooner either.
 */
export const earlierAttempt = ({ state }: Model): ReadonlyArray<Action> =>
  reasonOf(state) === "busy"
    ? none
    : [arm("attempt", state._tag === "Disconnected" ? "backoff" : "openFor", { sooner: true }), settle("waiters")]

const attemptAfter = (model: Model, reason: FailureReason | undefined): Step => {
  const next = undoubted(model)
  return run({ ...next, state: connecting(next, reason) }, "attempt", {
    before: [disarm("attempt")]
  })
}

export const connecting = (model: Model, reason: FailureReason | undefined): Untimed => ({
  _tag: "Connecting",
  attempt: model.failures + 1,
  trial: model.openings > 0,
  reason
})

/** A session goes on under another policy: what is due by it is due anew. */
export const repaced = (rules: Rules, model: Model): Step => ({
  model,
  actions: [
    // what runs leads to the next probe when it ends
    ...(model.running ? none : [disarm("probe"), ...nextProbe(model, { from: "answer" })]),
    rules.sleepsWhenIdle ? arm("idle", "idleAfter", { from: "call" }) : disarm("idle"),
    rules.expires && !model.outdated ? arm("lifetime", "maxLifetime") : disarm("lifetime")
  ]
})

/** What a probe was to decide is still to be decided, if the session stays. */
const replace = (model: Model): Step =>
  run({ ...model, doubt: undecided(model) }, "attempt", { before: model.outdated ? [disarm("attempt")] : none })

/** A session is opened in the place of the one that is open: beside it, unless two at once are impossible. */
export const replacement = (rules: Rules, model: Model): Step => (rules.exclusive ? supersede(model) : replace(model))

/** A replacement that cannot stand beside the session it replaces. */
const supersede = (model: Model): Step =>
  onto({ model, actions: [drop(model, "closed"), settle("doubters")] }, attempt(model))

export const adopt = (rules: Rules, model: Model, attention: Attention): Step => {
  const generation = model.generation + 1
  const predecessor = generationOf(model.state)
  const adopted: Model = {
    ...undoubted(model),
    state: { _tag: "Connected", generation },
    running: undefined,
    generation,
    busies: 0,
    stable: "no",
    // the calls that waited for it rouse it when they begin
    attention: attention === "inUse" ? "atRest" : attention,
    deep: false,
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
      ...(rules.sleepsWhenIdle ? [arm("idle", "idleAfter")] : none),
      ...(rules.expires ? [arm("lifetime", "maxLifetime")] : none),
      settle("doubters"),
      settle("waiters")
    ]
  }
}

/** Whether a server may have refused a session because of another: one that accepts only one does. */
export const isRefusal = (reason: FailureReason): boolean => reason === "http_4xx" || reason === "protocol"

/**
 * A replacement that the server refused may be refused because of the session it should replace: that one goes first. Else the
 * session serves on, and one that must be replaced is so when the backoff allows another attempt.
 */
export const replacementFailed = (model: Model, reason: FailureReason): Step => {
  const kept = { ...model, running: undefined }
  return isRefusal(reason) ? supersede(kept) : also(probe(kept), ...nextReplacement(kept))
}

/** When a replacement is tried again, `notBefore` included, where one is needed. */
const nextReplacement = ({ outdated }: Model, notBefore?: Duration.Duration): ReadonlyArray<Action> =>
  outdated ? [arm("attempt", "backoff", { notBefore })] : none

/** `notBefore`: what the server asked for, where it was busy for too long. */
export const attemptFailed = (
  rules: Rules,
  model: Model,
  reason: FailureReason,
  notBefore?: Duration.Duration
): Step => {
  const failures = model.failures + 1
  if (model.openings > 0 || failures >= rules.circuitFailures) {
    const openings = model.openings + 1
    return {
      model: { ...model, state: { _tag: "CircuitOpen", openings, reason }, running: undefined, failures, openings },
      actions: [
        { _tag: "Emit", happening: { _tag: "CircuitOpened", openings, reason } },
        arm("attempt", "openFor", { notBefore }),
        settle("waiters")
      ]
    }
  }
  return {
    model: { ...model, state: { _tag: "Disconnected", attempt: failures, reason }, running: undefined, failures },
    actions: [arm("attempt", "backoff", { notBefore }), settle("waiters")]
  }
}

/**
 * Alive, so that what runs is no miss. But who asks for time has not looked at the session, nor at the server behind a
 * gateway: what is in doubt there is asked again when the time has come.
 */
export const rested = (model: Model, retryAfter: Duration.Duration | undefined): Step => {
  const { running } = model
  if (isReplacing(model)) {
    const kept = { ...model, running: undefined }
    const actions = [...nextProbe(kept, { notBefore: retryAfter }), ...nextReplacement(kept, retryAfter)]
    return { model: kept, actions }
  }
  const isOpen = running?.decides === "session"
  const well = alive({
    ...model,
    running: undefined,
    doubt: isOpen ? undecided(model) : model.doubt,
    upstream: model.upstream || running?.kind === "deepProbe"
  })
  return {
    model: well,
    actions: [
      ...nextProbe(well, { notBefore: retryAfter }),
      ...(well.upstream ? [arm("deep", "confirmInterval", { notBefore: retryAfter })] : none),
      ...(isOpen ? none : [settle("doubters")])
    ]
  }
}

/**
 * Alive, so no failure is counted; without a time to wait for, the schedule that would be next gives one. But a server that is
 * busy without an end is of no use either: from `busyAttempts` in a row on, each is a failed attempt.
 */
export const attemptBusy = (rules: Rules, model: Model, retryAfter: Duration.Duration | undefined): Step => {
  const busies = Math.min(model.busies + 1, rules.busyAttempts)
  if (busies === rules.busyAttempts) return attemptFailed(rules, { ...model, busies }, "busy", retryAfter)
  const isOpen = model.openings > 0
  const schedule = retryAfter === undefined ? (isOpen ? "openFor" : "backoff") : "retryAfter"
  return {
    model: {
      ...model,
      state: isOpen
        ? { _tag: "CircuitOpen", openings: model.openings, reason: "busy" }
        : { _tag: "Disconnected", attempt: model.failures, reason: "busy" },
      running: undefined,
      busies
    },
    actions: [arm("attempt", schedule, { notBefore: retryAfter }), settle("waiters")]
  }
}

export const needsAuth = (rules: Rules, model: Model): Step => ({
  model: { ...undoubted(model), state: { _tag: "NeedsAuth" }, running: undefined, busies: 0 },
  actions: [
    ...dropOpen(model, "auth", drainFor(rules, "auth")),
    arm("attempt", "openFor"),
    settle("doubters"),
    settle("waiters")
  ]
})

/**
 * A server that refuses a session or its credentials lives, and answers or refuses itself what is still under way on it.
 * Its word is awaited, for it tells a call that was refused from one that may have been executed. Of a session that it
 * has forgotten that takes no longer than a probe may; with credentials that have expired it may go on with all it began.
 */
const drainFor = ({ exclusive }: Rules, reason: FailureReason): Drop["drain"] => {
  if (exclusive) return undefined
  return reason === "session_lost" ? "timeout" : reason === "auth" ? "drainTimeout" : undefined
}

/** A stable session was lost: that is no failure, but others may have lost theirs with it. */
const attemptWithBackoff = (model: Model, reason: FailureReason): Step => ({
  model: { ...model, state: { _tag: "Disconnected", attempt: model.failures, reason }, running: undefined },
  actions: [arm("attempt", "backoff"), settle("waiters")]
})

/** The session is dead. A stable one is attempted anew as the rules say; one that was lost earlier counts as a failed attempt. */
export const lose = (rules: Rules, model: Model, reason: FailureReason, drain = drainFor(rules, reason)): Step => {
  const dropped = drop(model, reason, drain)
  const orphan = undoubted(model)
  if (isReplacing(model)) {
    return { model: { ...orphan, state: connecting(orphan, reason) }, actions: [dropped, settle("doubters")] }
  }
  const stopped = model.running ? [stop, dropped] : [dropped]
  const next =
    model.stable !== "yes"
      ? attemptFailed(rules, orphan, reason)
      : rules.reattempt === "backoff"
        ? attemptWithBackoff(orphan, reason)
        : attemptAfter({ ...orphan, running: undefined }, reason)
  return { model: next.model, actions: [...stopped, settle("doubters"), ...next.actions] }
}

/** Without probes a failed call is all there is to go by. It was one request's failure: the others may end by themselves. */
export const loseUnprobed = (rules: Rules, model: Model, reason: FailureReason): Step =>
  lose(rules, model, reason, rules.exclusive ? undefined : "drainTimeout")

/** To a state without session, attempt or timer. */
export const leave = (model: Model, state: Untimed): Step => ({
  model: { ...undoubted(model), state, running: undefined },
  actions: [
    ...(model.running ? [stop] : none),
    disarm("attempt"),
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

/** A call begins on a session that was at rest: from now on it is asked at the cadence of the policy, until no call runs. */
export const roused = (model: Model): Step => {
  const inUse: Model = { ...model, attention: "inUse" }
  return model.running || isOpenQuestion(model) ? stay(inUse) : also(stay(inUse), ...nextProbe(inUse))
}

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

  if (signal.reason === "session_lost") return lose(rules, model, signal.reason)

  // a probe that was not rejected speaks for the credentials, however it failed
  const isDecided = decides === "auth"
  const doubted = {
    ...model,
    running: undefined,
    deep: model.deep || kind === "deepProbe",
    doubt: isDecided ? model.doubt : undecided(model)
  }
  const before = model.state._tag === "Unhealthy" ? model.state : undefined
  const misses = (before?.failures ?? 0) + 1
  const isLast = misses >= rules.failureThreshold || decides === "stale" || before?.held === true
  const held = isLast && isExcused(rules, signal)
  if (isLast && !held) return lose(rules, doubted, signal.reason)
  const { reason } = signal
  const failures = held ? Math.max(1, Math.min(misses, rules.failureThreshold - 1)) : misses
  const generation = generationOf(model.state) ?? model.generation
  const isSame = before?.failures === failures && before.reason === reason && before.held === held
  return {
    model: isSame ? doubted : { ...doubted, state: { _tag: "Unhealthy", generation, failures, reason, held } },
    actions: [arm("probe", "confirm"), ...(isDecided ? [settle("doubters")] : none)]
  }
}

/**
 * Whether a probe was not answered because the server works on a call: one that began before the first miss, and of whose own
 * answer something came within `inFlightGrace`. A server that keeps only that stream alive is given up in the end.
 */
const isExcused = ({ inFlightGrace }: Rules, signal: Extract<Signal, { _tag: "Failed" }>): boolean =>
  signal.reason === "timeout" &&
  signal.callInFlight &&
  Duration.isLessThan(signal.silentFor, inFlightGrace) &&
  Duration.isLessThan(signal.missedFor, Duration.times(inFlightGrace, longestHold))

/** how many times `inFlightGrace` a session is held, counted from the first miss */
const longestHold = 4

/** The same once more, in place of the one that ended without a verdict. */
export const again = (
  model: Model,
  options: { readonly refresh?: boolean; readonly before?: ReadonlyArray<Action> }
): Step => {
  const kind = model.running?.kind ?? "probe"
  return kind === "attempt"
    ? run(model, kind, options)
    : run({ ...model, doubt: undefined }, kind, { ...options, decides: undecided(model) })
}

/** What is in doubt, also what the probe that runs was to decide. */
const undecided = ({ doubt, running }: Model): Model["doubt"] =>
  running?.decides === undefined ? doubt : weightier(doubt, running.decides)

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
        counted: kind === "attempt" || model.attention !== "never"
      }
    ]
  }
}
