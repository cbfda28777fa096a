/**
 * The vocabulary of the transition table: small steps and actions by name, without a rule of their own.
 */
import type * as Duration from "effect/Duration"
import type { Action, ScheduleName } from "../engine/Action.ts"
import type { Untimed } from "../ConnectionState.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { Timer } from "../engine/Signal.ts"
import type { Doubt } from "../Evidence.ts"
import type { Model, Step } from "../engine/Model.ts"

export const none: ReadonlyArray<never> = []

export const stay = (model: Model): Step => ({ model, actions: none })

export const also = (step: Step, ...actions: ReadonlyArray<Action>): Step => ({
  model: step.model,
  actions: together(step.actions, actions)
})

export const onto = (first: Step, second: Step): Step => ({
  model: second.model,
  actions: together(first.actions, second.actions)
})

/** One of them, where the other is empty: most of what a probe leads to is a single action. */
const together = (first: ReadonlyArray<Action>, second: ReadonlyArray<Action>): ReadonlyArray<Action> =>
  second.length === 0 ? first : first.length === 0 ? second : [...first, ...second]

/** Nothing speaks against the session, unless only the deep probe may say so. */
export const alive = (model: Model): Model =>
  model.state._tag === "Unhealthy" && !model.deep
    ? { ...model, state: { _tag: "Connected", generation: model.state.generation } }
    : model

/** Whether only a call in flight keeps the session from being given up. */
export const isHeld = (state: Untimed): boolean => state._tag === "Unhealthy" && state.held

/** Nothing is in doubt of a session that is gone, and nothing is to take its place but the next. */
export const undoubted = (model: Model): Model => ({
  ...model,
  doubt: undefined,
  upstream: false,
  resting: false,
  outdated: false
})

/** Whether something speaks against the session that only a probe can decide. */
export const isOpenQuestion = (model: Model): boolean =>
  model.state._tag === "Unhealthy" || model.deep || model.doubt !== undefined || (model.upstream && !model.resting)

export const stabilized = (model: Model): Step => ({
  model: { ...model, stable: "yes", failures: 0, openings: 0 },
  actions: [...resetSchedules, { _tag: "Emit", happening: { _tag: "Stabilized" } }]
})

/** What attempts of one connection have met says nothing about another. What is known of the session that is open stays. */
export const unburdened = (model: Model): Model => ({ ...model, failures: 0, busies: 0, openings: 0, refreshed: false })

export const forgiven = (model: Model): Model => ({ ...unburdened(model), deep: false, upstream: false })

export const resetSchedules: ReadonlyArray<Action> = [
  { _tag: "Reset", schedule: "backoff" },
  { _tag: "Reset", schedule: "openFor" }
]

export const isReplacing = (model: Model): boolean =>
  model.running?.kind === "attempt" && generationOf(model.state) !== undefined

export const generationOf = (state: Untimed): number | undefined =>
  state._tag === "Connected" || state._tag === "Unhealthy" ? state.generation : undefined

const weights = ["stream", "transport", "auth", "stale", "session"] as const

export const weightier = (a: Model["doubt"], b: Exclude<Doubt, "upstream">): Exclude<Doubt, "upstream"> =>
  a !== undefined && weights.indexOf(a) > weights.indexOf(b) ? a : b

export const stop: Action = { _tag: "Stop" }

export const settle = (who: "waiters" | "doubters"): Action => ({ _tag: "Settle", who })

export type Drop = Extract<Action, { _tag: "Drop" }>

export const drop = (model: Model, reason: FailureReason, drain?: Drop["drain"]): Action => ({
  _tag: "Drop",
  generation: generationOf(model.state) ?? model.generation,
  drain,
  reason
})

export const dropOpen = (model: Model, reason: FailureReason, drain?: Drop["drain"]): ReadonlyArray<Action> =>
  generationOf(model.state) === undefined ? none : [drop(model, reason, drain)]

export const disarm = (timer: Timer): Action => ({ _tag: "Disarm", timer })

export const arm = (
  timer: Timer,
  schedule: ScheduleName,
  options: {
    readonly from?: "now" | "answer" | "call"
    readonly notBefore?: Duration.Duration | undefined
    readonly sooner?: boolean
  } = {}
): Action => ({
  _tag: "Arm",
  timer,
  schedule,
  from: options.from ?? "now",
  notBefore: options.notBefore,
  sooner: options.sooner ?? false
})

/** The next probe, at the pace of the state: soon, where something is in doubt. None for what is left alone, or at rest. */
export const nextProbe = (model: Model, options: Parameters<typeof arm>[2] = {}): ReadonlyArray<Action> =>
  model.attention === "always" || model.attention === "inUse" || isOpenQuestion(model)
    ? [arm("probe", model.state._tag === "Unhealthy" || model.doubt !== undefined ? "confirm" : "cadence", options)]
    : none

/** What runs has lost its time: if it fails, that proves nothing. */
export const jumped = (model: Model): Step =>
  stay(model.running ? { ...model, running: { ...model.running, jumped: true } } : model)
