/**
 * The whole behaviour of a backend as one pure, total table: (state, signal) → (state, actions).
 *
 * It computes no delay and reads no clock: it names a schedule, and what was observed comes in with the signal. The
 * supervisor performs the actions and has no rule of its own. The diagram in ARCHITECTURE.md is drawn from this table.
 */
import * as Duration from "effect/Duration"
import type { ConnectionState } from "./ConnectionState.ts"
import type { FailureReason } from "./FailureReason.ts"
import type { Happening } from "./KeepaliveEvent.ts"
import type { KeepalivePolicy } from "./KeepalivePolicy.ts"
import type { Doubt, Signal, Timer } from "./Signal.ts"

// ---------------------------------------------------------------------------------------------------------- models

/** The part of a policy that decides what happens, as opposed to when. */
export interface Rules {
  /** failed probes in a row that end a session */
  readonly failureThreshold: number
  /** failed attempts in a row that open the circuit; infinite without a circuit */
  readonly circuitFailures: number
  readonly inFlightGrace: Duration.Duration
  readonly connect: "eager" | "lazy"
  readonly sleepsWhenIdle: boolean
  /** whether a second session at once is impossible */
  readonly exclusive: boolean
}

/** The state, and what the table must remember beside it. */
export interface Model {
  readonly state: ConnectionState
  /** the one attempt or probe that is running */
  readonly running: Running | undefined
  /** how many were started so far */
  readonly runs: number
  /** how many sessions were opened so far */
  readonly generation: number
  /** failed attempts in a row, sessions lost before they were stable included */
  readonly failures: number
  /** how often the circuit has opened; above zero, every attempt is a trial */
  readonly openings: number
  /** whether the session is stable: `due` when it has lived long enough and only an answer is missing */
  readonly stable: "no" | "due" | "yes"
  /** whether probes are sent to the session while it is healthy */
  readonly probed: boolean
  /** whether only the deep probe is evidence: latched across generations until it passes */
  readonly deep: boolean
  /** whether the deep probe was asked less than a `confirmInterval` ago */
  readonly resting: boolean
  /** whether the deep probe is wanted */
  readonly upstream: boolean
  /** what the next probe has to decide */
  readonly doubt: Exclude<Doubt, "upstream"> | undefined
  /** whether credentials were read again since they last sufficed */
  readonly refreshed: boolean
}

/** An attempt or a probe under way. */
export interface Running {
  readonly run: number
  readonly kind: "attempt" | "probe" | "deepProbe"
  /** the doubt that its answer decides: the probe began after the doubt arose */
  readonly decides: Exclude<Doubt, "upstream"> | undefined
  /** whether the clock jumped meanwhile, so that its failure proves nothing */
  readonly jumped: boolean
}

/** What a timer can be armed with: the four schedules, and single delays that the policy or the server names. */
export type ScheduleName =
  | "cadence"
  | "confirm"
  | "backoff"
  | "openFor"
  | "stableAfter"
  | "idleAfter"
  | "confirmInterval"
  | "retryAfter"

/** What is to be done. In the order of the list. */
export type Action =
  /** start an attempt or a probe, in place of the one that runs */
  | {
      readonly _tag: "Run"
      readonly run: number
      readonly kind: Running["kind"]
      /** an attempt that must pass the deep probe */
      readonly deep: boolean
      /** read the credentials again first */
      readonly refresh: boolean
      /** whether it is keepalive: with `none`, the probe that decides a doubt is not counted as one */
      readonly counted: boolean
    }
  /** interrupt the attempt or probe that runs */
  | { readonly _tag: "Stop" }
  | {
      readonly _tag: "Arm"
      readonly timer: Timer
      readonly schedule: ScheduleName
      /** where the delay begins: now, or when a request of ours was last answered, or when a call last ended */
      readonly from: "now" | "answer" | "call"
      /** what the server asked for with Retry-After: the delay is at least that, up to the cap of the backoff */
      readonly notBefore: Duration.Duration | undefined
    }
  | { readonly _tag: "Disarm"; readonly timer: Timer }
  | { readonly _tag: "Reset"; readonly schedule: ScheduleName }
  /** make the session of the attempt that succeeded the current one */
  | { readonly _tag: "Adopt"; readonly generation: number }
  /** let go of a session: at once, or when its calls have ended; its timers, but for a successor's, end with it */
  | { readonly _tag: "Drop"; readonly generation: number; readonly drain: boolean; readonly reason: FailureReason }
  /** calls that wait for a session, or for a doubt to be decided, look at the state again */
  | { readonly _tag: "Settle"; readonly who: "waiters" | "doubters" }
  | { readonly _tag: "Emit"; readonly happening: Happening }

/** What a signal leads to. */
export interface Step {
  readonly model: Model
  readonly actions: ReadonlyArray<Action>
}

// ------------------------------------------------------------------------------------------------------ constructors

/** The rules of a policy. */
export const rules = (policy: KeepalivePolicy, connector: { readonly exclusive: boolean }): Rules => ({
  failureThreshold: policy.failureThreshold,
  circuitFailures: policy.circuit === "none" ? Number.POSITIVE_INFINITY : policy.circuit.failures,
  inFlightGrace: policy.inFlightGrace,
  connect: policy.connect,
  sleepsWhenIdle: policy.idleAfter !== "never",
  exclusive: connector.exclusive
})

/** How a backend begins. */
export const initial = (rules: Rules): Step => {
  const idle: Model = {
    state: { _tag: "Idle" },
    running: undefined,
    runs: 0,
    generation: 0,
    failures: 0,
    openings: 0,
    stable: "no",
    probed: false,
    deep: false,
    resting: false,
    upstream: false,
    doubt: undefined,
    refreshed: false
  }
  return rules.connect === "lazy" ? stay(idle) : attempt(idle)
}

/** What a signal does. Signals of a run or a generation that is no longer current change nothing. */
export const step = (rules: Rules, model: Model, signal: Signal): Step => {
  if ("run" in signal && signal.run !== model.running?.run) return stay(model)
  if ("generation" in signal && signal.generation !== generationOf(model.state)) return stay(model)
  const row: Row = table[model.state._tag]
  const next = apply(row, { rules, model }, signal)
  return next.model.state === model.state
    ? next
    : {
        model: next.model,
        actions: [
          { _tag: "Emit", happening: { _tag: "StateChanged", from: model.state, to: next.model.state } },
          ...next.actions
        ]
      }
}

// --------------------------------------------------------------------------------------------------------- the table

interface Context {
  readonly rules: Rules
  readonly model: Model
}

type Row = {
  readonly [Tag in Signal["_tag"]]: (context: Context, signal: Extract<Signal, { _tag: Tag }>) => Step
}

/** Nothing but the end of the scope is of interest, unless a row says so. */
const ignored: Row = {
  Succeeded: ({ model }) => stay(model),
  Failed: ({ model }) => stay(model),
  Busy: ({ model }) => stay(model),
  AuthRejected: ({ model }) => stay(model),
  Due: ({ model }) => stay(model),
  Doubt: ({ model }) => stay(model),
  Lost: ({ model }) => stay(model),
  CallStarted: ({ model }) => stay(model),
  CallAnswered: ({ model }) => stay(model),
  Operator: ({ model }) => stay(model),
  Jumped: ({ model }) => stay(model),
  Closed: ({ model }) => leave(model, { _tag: "Closed" })
}

/** No session and no attempt: an operator, a jump of the clock or the attempt's timer leads to the next attempt. */
const sessionless: Row = {
  ...ignored,
  Due: ({ model }, { timer }) => (timer === "attempt" ? attempt(model) : stay(model)),
  Jumped: ({ model }) => attempt(model),
  Operator: ({ model }, { command }) => {
    switch (command) {
      case "probe":
        return stay(model)
      case "reconnect":
        return attempt(model)
      case "reset":
        return then(attempt(forgiven(model)), ...resetSchedules)
      case "isolate":
        return leave(model, { _tag: "Isolated" })
    }
  }
}

/** A session is open; a probe, or the attempt that is to replace the session, may be running. */
const open: Row = {
  ...ignored,
  Succeeded: ({ rules, model }, { probed }) => (isReplacing(model) ? adopt(rules, model, probed) : passed(model)),
  Failed: ({ rules, model }, signal) =>
    isReplacing(model) ? replacementFailed(model, signal.reason) : missed(rules, model, signal),
  Busy: ({ model }, { retryAfter }) => {
    const rested = isReplacing(model) ? { ...model, running: undefined } : alive({ ...model, running: undefined })
    return { model: rested, actions: [...nextProbe(rested, { notBefore: retryAfter }), settle("doubters")] }
  },
  AuthRejected: ({ model }) => {
    if (!model.refreshed) return again({ ...model, refreshed: true }, { refresh: true })
    return isReplacing(model) ? replacementFailed(model, "auth") : needsAuth(model)
  },
  Due: ({ model }, { timer, used }) => {
    switch (timer) {
      case "probe":
        if (model.running) return stay(model)
        return used && !model.deep && model.doubt === undefined
          ? {
              model,
              actions: [
                { _tag: "Emit", happening: { _tag: "ProbeSuppressed" } },
                ...nextProbe(model, { from: "answer" })
              ]
            }
          : probe(model)
      case "stable":
        return model.probed ? { model: { ...model, stable: "due" }, actions: none } : stabilized(model)
      case "idle":
        if (used || model.running?.kind === "attempt") return { model, actions: [arm("idle", "idleAfter", { from: "call" })] }
        return leave(model, { _tag: "Idle" })
      case "deep": {
        const rested = { ...model, resting: false }
        return rested.upstream && !rested.running ? deepProbe(rested) : stay(rested)
      }
      case "attempt":
        return stay(model)
    }
  },
  Doubt: ({ rules, model }, { doubt, reason }) => {
    if (doubt === "upstream") {
      const wanted = { ...model, upstream: true }
      return wanted.running || wanted.resting ? stay(wanted) : deepProbe(wanted)
    }
    if (doubt === "transport" && !model.probed) return lose(rules, model, reason)
    const doubted = { ...model, doubt: weightier(model.doubt, doubt) }
    return doubted.running ? stay(doubted) : probe(doubted)
  },
  Lost: ({ rules, model }, { reason }) => lose(rules, model, reason),
  CallAnswered: ({ model }) => {
    if (model.deep) return stay(model)
    const proven = model.stable === "due" ? stabilized(model) : stay(model)
    const well = alive(proven.model)
    return well === proven.model ? proven : then({ model: well, actions: proven.actions }, ...nextProbe(well))
  },
  Operator: ({ rules, model }, { command }) => {
    switch (command) {
      case "probe":
        return model.running ? stay(model) : probe(model)
      case "reconnect":
        if (isReplacing(model)) return stay(model)
        return rules.exclusive ? onto({ model, actions: [drop(model, "closed")] }, attempt(model)) : replace(model)
      case "reset": {
        const cleared = alive(forgiven(model))
        return cleared.running ? { model: cleared, actions: resetSchedules } : then(probe(cleared), ...resetSchedules)
      }
      case "isolate":
        return leave(model, { _tag: "Isolated" })
    }
  },
  Jumped: ({ model }) => {
    if (!model.running) return probe(model)
    return { model: { ...model, running: { ...model.running, jumped: true } }, actions: none }
  }
}

const table: { readonly [Tag in ConnectionState["_tag"]]: Row } = {
  Idle: { ...sessionless, Jumped: ignored.Jumped, CallStarted: ({ model }) => attempt(model) },
  Connecting: {
    ...ignored,
    Succeeded: ({ rules, model }, { probed }) => adopt(rules, model, probed),
    Failed: ({ rules, model }, { reason }) => attemptFailed(rules, model, reason),
    Busy: ({ model }, { retryAfter }) => attemptBusy(model, retryAfter),
    AuthRejected: ({ model }) =>
      model.refreshed ? needsAuth(model) : again({ ...model, refreshed: true }, { refresh: true }),
    Operator: ({ model }, { command }) => {
      switch (command) {
        case "probe":
        case "reconnect":
          return stay(model)
        case "reset": {
          const cleared = forgiven(model)
          return { model: { ...cleared, state: connecting(cleared) }, actions: resetSchedules }
        }
        case "isolate":
          return leave(model, { _tag: "Isolated" })
      }
    }
  },
  Connected: open,
  Unhealthy: open,
  Disconnected: sessionless,
  CircuitOpen: sessionless,
  NeedsAuth: sessionless,
  Isolated: {
    ...ignored,
    Operator: ({ model }, { command }) =>
      command === "reset" ? then(attempt(forgiven(model)), ...resetSchedules) : stay(model)
  },
  Closed: { ...ignored, Closed: ({ model }) => stay(model) }
}

// ----------------------------------------------------------------------------------------------- attempts and sessions

const attempt = (model: Model): Step => {
  const next = { ...model, doubt: undefined, upstream: false, resting: false }
  return then(run({ ...next, state: connecting(next) }, "attempt", { before: [{ _tag: "Disarm", timer: "attempt" }] }))
}

const connecting = (model: Model): ConnectionState => ({
  _tag: "Connecting",
  attempt: model.failures + 1,
  trial: model.openings > 0
})

const replace = (model: Model): Step => run(model, "attempt")

const adopt = (rules: Rules, model: Model, probed: boolean): Step => {
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
      ...(predecessor === undefined
        ? none
        : [{ _tag: "Drop", generation: predecessor, drain: true, reason: "closed" } as const]),
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
const replacementFailed = (model: Model, reason: FailureReason): Step =>
  reason === "http_4xx" || reason === "protocol"
    ? onto({ model, actions: [drop(model, "closed")] }, attempt({ ...model, running: undefined }))
    : probe({ ...model, running: undefined })

const attemptFailed = (rules: Rules, model: Model, reason: FailureReason): Step => {
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
const attemptBusy = (model: Model, retryAfter: Duration.Duration | undefined): Step => {
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

const needsAuth = (model: Model): Step => ({
  model: { ...model, state: { _tag: "NeedsAuth" }, running: undefined },
  actions: [...dropOpen(model, "auth"), arm("attempt", "openFor"), settle("doubters"), settle("waiters")]
})

/** The session is dead. A stable one is replaced at once; one that was lost earlier counts as a failed attempt. */
const lose = (rules: Rules, model: Model, reason: FailureReason): Step => {
  const dropped = drop(model, reason)
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
const leave = (model: Model, state: ConnectionState): Step => ({
  model: { ...model, state, running: undefined, doubt: undefined, upstream: false, resting: false },
  actions: [
    ...(model.running ? [stop] : none),
    { _tag: "Disarm", timer: "attempt" },
    ...dropOpen(model, "closed"),
    settle("doubters"),
    settle("waiters")
  ]
})

// ------------------------------------------------------------------------------------------------------------ probes

const probe = (model: Model): Step =>
  model.deep || (model.upstream && !model.resting)
    ? deepProbe(model)
    : run({ ...model, doubt: undefined }, "probe", { decides: model.doubt })

const deepProbe = (model: Model): Step =>
  run({ ...model, doubt: undefined, upstream: false, resting: true }, "deepProbe", {
    decides: model.doubt,
    before: [arm("deep", "confirmInterval")]
  })

const passed = (model: Model): Step => {
  const running = model.running
  const well = alive({
    ...model,
    running: undefined,
    refreshed: false,
    deep: running?.kind === "deepProbe" ? false : model.deep
  })
  const proven = well.stable === "due" ? stabilized(well) : stay(well)
  const decided = running?.decides === undefined ? none : [settle("doubters")]
  const wanted = well.doubt !== undefined || (well.upstream && !well.resting)
  const next = wanted ? onto(proven, probe(proven.model)) : then(proven, ...nextProbe(proven.model))
  return then(next, ...decided)
}

const missed = (rules: Rules, model: Model, signal: Extract<Signal, { _tag: "Failed" }>): Step => {
  const { kind, decides, jumped } = model.running ?? { kind: "probe", decides: undefined, jumped: false }
  if (signal.late || jumped) return again(model, {})
  if (signal.reason === "session_lost" && decides !== "session") return again({ ...model, doubt: "session" }, {})
  if (signal.reason === "session_lost" || decides === "stale") return lose(rules, model, signal.reason)

  const held =
    signal.reason === "timeout" &&
    signal.callInFlight &&
    Duration.isLessThan(signal.silentFor, rules.inFlightGrace)
  const missedBefore = model.state._tag === "Unhealthy" ? model.state.failures : 0
  const failures = held ? Math.min(missedBefore + 1, rules.failureThreshold - 1) : missedBefore + 1
  const doubted = {
    ...model,
    running: undefined,
    deep: model.deep || kind === "deepProbe",
    doubt: decides === undefined ? model.doubt : weightier(model.doubt, decides)
  }
  if (failures >= rules.failureThreshold) return lose(rules, doubted, signal.reason)
  const generation = generationOf(model.state) ?? model.generation
  return {
    model:
      failures === 0 ? doubted : { ...doubted, state: { _tag: "Unhealthy", generation, failures, reason: signal.reason } },
    actions: [arm("probe", "confirm")]
  }
}

/** The same once more, in place of the one that ended without a verdict. */
const again = (model: Model, options: { readonly refresh?: boolean }): Step => {
  const { kind, decides } = model.running ?? { kind: "probe", decides: undefined }
  return run({ ...model, doubt: undefined }, kind, {
    decides: decides === undefined ? model.doubt : weightier(model.doubt, decides),
    refresh: options.refresh ?? false
  })
}

const run = (
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

// ------------------------------------------------------------------------------------------------------------- words

const none: ReadonlyArray<never> = []

const stay = (model: Model): Step => ({ model, actions: none })

const then = (step: Step, ...actions: ReadonlyArray<Action>): Step => ({
  model: step.model,
  actions: [...step.actions, ...actions]
})

const onto = (first: Step, second: Step): Step => ({
  model: second.model,
  actions: [...first.actions, ...second.actions]
})

/** Nothing speaks against the session, unless only the deep probe may say so. */
const alive = (model: Model): Model =>
  model.state._tag === "Unhealthy" && !model.deep
    ? { ...model, state: { _tag: "Connected", generation: model.state.generation } }
    : model

const stabilized = (model: Model): Step => ({
  model: { ...model, stable: "yes", failures: 0, openings: 0 },
  actions: [
    { _tag: "Reset", schedule: "backoff" },
    { _tag: "Reset", schedule: "openFor" },
    { _tag: "Emit", happening: { _tag: "Stabilized" } }
  ]
})

const forgiven = (model: Model): Model => ({
  ...model,
  failures: 0,
  openings: 0,
  deep: false,
  upstream: false,
  refreshed: false
})

const resetSchedules: ReadonlyArray<Action> = [
  { _tag: "Reset", schedule: "backoff" },
  { _tag: "Reset", schedule: "openFor" }
]

const isReplacing = (model: Model): boolean =>
  model.running?.kind === "attempt" && generationOf(model.state) !== undefined

const generationOf = (state: ConnectionState): number | undefined =>
  state._tag === "Connected" || state._tag === "Unhealthy" ? state.generation : undefined

const weights = ["transport", "auth", "stale", "session"] as const

const weightier = (a: Model["doubt"], b: Exclude<Doubt, "upstream">): Exclude<Doubt, "upstream"> =>
  a !== undefined && weights.indexOf(a) > weights.indexOf(b) ? a : b

const stop: Action = { _tag: "Stop" }

const settle = (who: "waiters" | "doubters"): Action => ({ _tag: "Settle", who })

const drop = (model: Model, reason: FailureReason): Action => ({
  _tag: "Drop",
  generation: generationOf(model.state) ?? model.generation,
  drain: false,
  reason
})

const dropOpen = (model: Model, reason: FailureReason): ReadonlyArray<Action> =>
  generationOf(model.state) === undefined ? none : [drop(model, reason)]

const arm = (
  timer: Timer,
  schedule: ScheduleName,
  options: {
    readonly from?: "now" | "answer" | "call"
    readonly notBefore?: Duration.Duration | undefined
  } = {}
): Action => ({
  _tag: "Arm",
  timer,
  schedule,
  from: options.from ?? "now",
  notBefore: options.notBefore
})

const nextProbe = (model: Model, options: Parameters<typeof arm>[2] = {}): ReadonlyArray<Action> =>
  model.probed ? [arm("probe", "cadence", options)] : none

const apply = <Tag extends Signal["_tag"]>(
  row: Row,
  context: Context,
  signal: Extract<Signal, { _tag: Tag }>
): Step => row[signal._tag as Tag](context, signal)
