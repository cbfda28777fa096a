/**
 * The whole behaviour of a backend as one pure, total table: (state, signal) → (state, actions).
 *
 * It computes no delay and reads no clock: it names a schedule, and what was observed comes in with the signal. The
 * supervisor performs the actions and has no rule of its own. The diagram in ARCHITECTURE.md is drawn from this table.
 */
import type { Action } from "./Action.ts"
import type { Untimed } from "../ConnectionState.ts"
import { defaultCircuitFailures } from "../internal/defaults.ts"
import {
  adopt,
  again,
  attempt,
  attemptAfresh,
  attemptBusy,
  attemptFailed,
  connecting,
  deepProbe,
  earlierAttempt,
  isRefusal,
  leave,
  lose,
  loseUnprobed,
  missed,
  needsAuth,
  passed,
  probe,
  replacement,
  repaced,
  replacementFailed,
  rested,
  roused
} from "../internal/rules.ts"
import {
  alive,
  also,
  arm,
  forgiven,
  generationOf,
  isHeld,
  isOpenQuestion,
  isReplacing,
  jumped,
  nextProbe,
  none,
  onto,
  resetSchedules,
  settle,
  stabilized,
  stay,
  weightier,
  unburdened
} from "../internal/steps.ts"
import type { Model, Rules, Step } from "./Model.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import type { Signal } from "./Signal.ts"

/** @since 0.1.0 */
export type { Model, Rules, Running, Step } from "./Model.ts"

// ------------------------------------------------------------------------------------------------------ constructors

/**
 * The rules of a policy: the same object for the same policy and kind of connector.
 *
 * @since 0.1.0
 */
export const rules = (policy: KeepalivePolicy, { exclusive }: { readonly exclusive: boolean }): Rules => {
  const known = exclusive ? exclusiveRules : sharingRules
  const found = known.get(policy) ?? rulesOf(policy, exclusive)
  known.set(policy, found)
  return found
}

const exclusiveRules = new WeakMap<KeepalivePolicy, Rules>()
const sharingRules = new WeakMap<KeepalivePolicy, Rules>()

const rulesOf = (policy: KeepalivePolicy, exclusive: boolean): Rules => ({
  failureThreshold: policy.failureThreshold,
  circuitFailures: policy.circuit === "none" ? Number.POSITIVE_INFINITY : policy.circuit.failures,
  busyAttempts: busyPerFailure * (policy.circuit === "none" ? defaultCircuitFailures : policy.circuit.failures),
  inFlightGrace: policy.inFlightGrace,
  connect: policy.connect,
  reattempt: policy.reattempt,
  sleepsWhenIdle: policy.idleAfter !== "never",
  expires: policy.maxLifetime !== "never",
  exclusive
})

/** how many busy answers in a row are borne for each failed attempt that the circuit would bear */
const busyPerFailure = 4

/**
 * How a backend begins.
 *
 * @since 0.1.0
 */
export const initial = (rules: Rules): Step => {
  const idle: Model = {
    state: { _tag: "Idle" },
    running: undefined,
    runs: 0,
    generation: 0,
    failures: 0,
    busies: 0,
    openings: 0,
    stable: "no",
    attention: "never",
    deep: false,
    resting: false,
    upstream: false,
    doubt: undefined,
    refreshed: false,
    outdated: false
  }
  const { actions, model } = rules.connect === "lazy" ? stay(idle) : attempt(idle)
  return { model, actions: [{ _tag: "Emit", happening: { _tag: "Started", state: model.state } }, ...actions] }
}

/**
 * Whether `CallAnswered` would change anything. Of most calls it would not: a caller that asks first is spared the step.
 *
 * @since 0.1.0
 */
export const heedsAnswers = ({ deep, stable, state }: Model): boolean =>
  !deep && (stable === "due" || state._tag === "Unhealthy")

/**
 * Whether `CallStarted` would change anything for the session that is open. Of most calls it would not.
 *
 * @since 0.1.0
 */
export const heedsCalls = ({ attention }: Model): boolean => attention === "atRest"

/**
 * What a signal does. Signals of a run or a generation that is no longer current change nothing.
 *
 * @since 0.1.0
 */
export const step = (rules: Rules, model: Model, signal: Signal): Step => {
  if ("run" in signal && signal.run !== model.running?.run) return stay(model)
  if ("generation" in signal && signal.generation !== generationOf(model.state)) return stay(model)
  const row: Row = table[model.state._tag]
  const next = apply(row, { rules, model }, signal)
  if (next.model.state === model.state) return next
  const changed: Action = { _tag: "Emit", happening: { _tag: "StateChanged", from: model.state, to: next.model.state } }
  // calls that a held session does not admit look again when it is held no longer, whatever ended that
  const released = isHeld(model.state) && !isHeld(next.model.state) ? [settle("waiters")] : none
  // the change is told with the time of the next attempt, which must have been decided by then
  const decides = next.actions.filter(isNextAttempt)
  const others = decides.length === 0 ? next.actions : next.actions.filter((action) => !isNextAttempt(action))
  return { model: next.model, actions: [...decides, changed, ...others, ...released] }
}

const isNextAttempt = (action: Action): boolean => action._tag === "Arm" && action.timer === "attempt"

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
  Reconfigured: ({ model }) => stay(model),
  Jumped: ({ model }) => stay(model),
  Closed: ({ model }) => leave(model, { _tag: "Closed" })
}

/** No session and no attempt: an operator or the attempt's timer leads to the next attempt. */
const sessionless: Row = {
  ...ignored,
  Due: ({ model }, { timer }) => (timer === "attempt" ? attempt(model) : stay(model)),
  // what was learned of another connection says nothing about this one
  Reconfigured: ({ model }, { connection }) =>
    connection ? attemptAfresh(model) : also(stay(model), ...resetSchedules, ...earlierAttempt(model)),
  Operator: ({ model }, { command }) => {
    switch (command) {
      case "probe":
        return stay(model)
      case "reconnect":
        return attempt(model)
      case "reset":
        return attemptAfresh(model)
      case "isolate":
        return leave(model, { _tag: "Isolated" })
    }
  }
}

/** A session is open; a probe, or the attempt that is to replace the session, may be running. */
const open: Row = {
  ...ignored,
  Succeeded: ({ rules, model }, { attention }) => (isReplacing(model) ? adopt(rules, model, attention) : passed(model)),
  Failed: ({ rules, model }, signal) => {
    if (!isReplacing(model)) return missed(rules, model, signal)
    return signal.late ? again(model, {}) : replacementFailed(model, signal.reason)
  },
  Busy: ({ model }, { retryAfter }) => rested(model, retryAfter),
  AuthRejected: ({ rules, model }) => {
    if (!model.refreshed) return again({ ...model, refreshed: true }, { refresh: true })
    return isReplacing(model) ? replacementFailed(model, "auth") : needsAuth(rules, model)
  },
  Due: ({ rules, model }, { calls, timer, used }) => {
    switch (timer) {
      case "probe":
        if (model.running) return stay(model)
        if (isOpenQuestion(model)) return probe(model)
        if (model.attention === "never" || model.attention === "atRest") return stay(model)
        if (model.attention === "inUse" && calls === "none") return stay({ ...model, attention: "atRest" })
        if (model.attention === "inUse" && calls === "idle") return also(stay(model), ...nextProbe(model))
        return used
          ? {
              model,
              actions: [
                { _tag: "Emit", happening: { _tag: "ProbeSuppressed" } },
                ...nextProbe(model, { from: "answer" })
              ]
            }
          : probe(model)
      case "stable":
        if (model.stable === "yes") return stay(model)
        // one that is left alone while nobody calls is stable by the time alone, unless something speaks against it
        return model.attention === "always" || model.deep || model.state._tag === "Unhealthy"
          ? stay({ ...model, stable: "due" })
          : stabilized(model)
      case "idle":
        if (used || model.running?.kind === "attempt")
          return { model, actions: [arm("idle", "idleAfter", { from: used ? "call" : "now" })] }
        return leave(model, { _tag: "Idle" })
      case "lifetime": {
        // one that is outdated already waits for its next attempt
        if (model.outdated) return stay(model)
        const outdated = { ...model, outdated: true }
        const told: Action = {
          _tag: "Emit",
          happening: { _tag: "SessionExpired", generation: generationOf(model.state) ?? model.generation }
        }
        return onto(
          { model: outdated, actions: [told] },
          isReplacing(outdated) ? stay(outdated) : replacement(rules, outdated)
        )
      }
      case "deep": {
        const rested = { ...model, resting: false }
        return rested.upstream && !rested.running ? deepProbe(rested) : stay(rested)
      }
      case "attempt":
        return model.outdated && !isReplacing(model) ? replacement(rules, model) : stay(model)
    }
  },
  Doubt: ({ rules, model }, { doubt, reason }) => {
    if (doubt === "upstream") {
      const wanted = { ...model, upstream: true }
      return wanted.running || wanted.resting ? stay(wanted) : deepProbe(wanted)
    }
    if (doubt === "transport" && model.attention === "never") return loseUnprobed(rules, model, reason)
    const doubted = { ...model, doubt: weightier(model.doubt, doubt) }
    // a death is confirmed at the pace of `confirm`, however many calls meet it meanwhile
    const isConfirming = (doubt === "transport" || doubt === "stream") && model.state._tag === "Unhealthy"
    return doubted.running || isConfirming ? stay(doubted) : probe(doubted)
  },
  Lost: ({ rules, model }, { reason }) => lose(rules, model, reason),
  CallStarted: ({ model }) => (model.attention === "atRest" ? roused(model) : stay(model)),
  CallAnswered: ({ model }) => {
    if (model.deep) return stay(model)
    const proven = model.stable === "due" ? stabilized(model) : stay(model)
    const well = alive(proven.model)
    if (well === proven.model) return proven
    const next = isOpenQuestion(well) && !well.running ? probe(well) : also(stay(well), ...nextProbe(well))
    return onto(proven, next)
  },
  Operator: ({ rules, model }, { command }) => {
    switch (command) {
      case "probe":
        return model.running ? stay(model) : probe(model)
      case "reconnect":
        if (isReplacing(model)) return stay(model)
        return replacement(rules, model)
      case "reset": {
        const cleared = alive(forgiven(model))
        return cleared.running ? { model: cleared, actions: resetSchedules } : also(probe(cleared), ...resetSchedules)
      }
      case "isolate":
        return leave(model, { _tag: "Isolated" })
    }
  },
  Reconfigured: ({ rules, model }, { attention, connection }) => {
    const next: Model = { ...model, attention }
    return connection ? replacement(rules, { ...unburdened(next), outdated: true }) : repaced(rules, next)
  },
  Jumped: ({ model }) => (model.running ? jumped(model) : probe(model))
}

const table: { readonly [Tag in Untimed["_tag"]]: Row } = {
  Idle: {
    ...sessionless,
    CallStarted: ({ model }) => attempt(model),
    Reconfigured: ({ rules, model }, { connection }) => {
      const next = connection ? forgiven(model) : model
      return rules.connect === "eager" && !rules.sleepsWhenIdle ? attempt(next) : stay(next)
    }
  },
  Connecting: {
    ...ignored,
    Succeeded: ({ rules, model }, { attention }) => adopt(rules, model, attention),
    Failed: ({ rules, model }, { draining, late, reason }) => {
      if (late || model.running?.jumped) return again(model, {})
      const notBusy = { ...model, busies: 0 }
      // refused because of the session that still drains, perhaps: then that one goes first
      return draining && isRefusal(reason)
        ? again(notBusy, { before: [{ _tag: "DropDraining" }] })
        : attemptFailed(rules, notBusy, reason)
    },
    Busy: ({ rules, model }, { retryAfter }) => attemptBusy(rules, model, retryAfter),
    AuthRejected: ({ rules, model }) =>
      model.refreshed ? needsAuth(rules, model) : again({ ...model, busies: 0, refreshed: true }, { refresh: true }),
    // the attempt that runs is one of the connection before
    Reconfigured: ({ model }, { connection }) => (connection ? attemptAfresh(model) : stay(model)),
    Jumped: ({ model }) => jumped(model),
    Operator: ({ model }, { command }) => {
      switch (command) {
        case "probe":
        case "reconnect":
          return stay(model)
        case "reset": {
          const cleared = forgiven(model)
          return { model: { ...cleared, state: connecting(cleared, undefined) }, actions: resetSchedules }
        }
        case "isolate":
          return leave(model, { _tag: "Isolated" })
      }
    }
  },
  Connected: open,
  Unhealthy: open,
  // the network may be another one; but a server that is known to be bad, or that rejects the credentials, is no better for it
  Disconnected: { ...sessionless, Jumped: ({ model }) => attempt(model) },
  CircuitOpen: sessionless,
  NeedsAuth: sessionless,
  Isolated: {
    ...ignored,
    Operator: ({ model }, { command }) => (command === "reset" ? attemptAfresh(model) : stay(model))
  },
  Closed: { ...ignored, Closed: ({ model }) => stay(model) }
}

const apply = <Tag extends Signal["_tag"]>(row: Row, context: Context, signal: Extract<Signal, { _tag: Tag }>): Step =>
  row[signal._tag as Tag](context, signal)
