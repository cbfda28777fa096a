/**
 * Performs the actions of the transition table: fibers, scopes and timers. It has no rule of its own. Signals are taken
 * in turns, synchronously; whatever waits runs in a fiber of the backend's scope.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { Action, Telling } from "../Action.ts"
import { admission, type ConnectionState, timed } from "../ConnectionState.ts"
import type { Connector } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import { type FailureDetail, ofCause } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { Happening, Observer } from "../KeepaliveEvent.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import * as Probe from "../Probe.ts"
import type { Signal, Timer } from "../Signal.ts"
import * as Transition from "../Transition.ts"
import * as Announcer from "./announcer.ts"
import * as Attempt from "./attempt.ts"
import * as ClockWatcher from "./clockWatcher.ts"
import { type Conclusion, isLate, signalOf } from "./conclusion.ts"
import * as Delays from "./delays.ts"
import { isUsedSince, lastOf, type OpenSession } from "./sessionCell.ts"
import * as Tracing from "./tracing.ts"
import * as Turns from "./turns.ts"

export interface Supervisor<Client> {
  readonly send: (signal: Signal) => void
  readonly state: () => ConnectionState
  /** the session that calls run on; `undefined` while there is none, or while it is held and admits none */
  readonly current: () => OpenSession<Client> | undefined
  /** whether the session is still the one of the backend, held or not */
  readonly isOpen: (open: OpenSession<Client>) => boolean
  /** monotonic milliseconds */
  readonly now: () => number
  /** what was seen when the session failed last; without one, when the last session or attempt failed */
  readonly detail: () => FailureDetail | undefined
  /** time until the next attempt, where one is armed */
  readonly untilAttempt: () => Duration.Duration | undefined
  /** time until the attempt that runs has ended at the latest */
  readonly untilVerdict: () => Duration.Duration | undefined
  /** is asked again whenever the state has something new for it, until it answers true */
  readonly waiters: Set<() => boolean>
  /** is told once when a doubt was decided or the session is gone */
  readonly doubters: Set<() => void>
  /** is told once when no attempt and no probe runs any more, and no signal waits */
  readonly resting: Set<() => void>
  /** a call has ended: a session that drains may close */
  readonly released: (open: OpenSession<Client>) => void
  readonly announcer: Announcer.Announcer
}

export interface Options<Client, R, SetupR> {
  readonly id: string
  readonly connector: Connector<Client, R>
  readonly policy: KeepalivePolicy
  readonly setup: ((client: Client) => Effect.Effect<unknown, unknown, SetupR>) | undefined
  readonly observers: ReadonlyArray<Observer>
}

export const make = Effect.fnUntraced(function* <Client, R, SetupR>(options: Options<Client, R, SetupR>) {
  const { connector, policy, observers } = options
  const rules = Transition.rules(policy, connector)

  const clock = yield* Clock.Clock
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const delays = Delays.make(policy, clock)
  const announcer = Announcer.make(options.id, clock, observers)
  const emit = announcer.emit
  const closings = yield* FiberSet.make()
  const close = yield* FiberSet.runtime(closings)()
  const fibers = yield* FiberMap.make<"run" | "tools" | Timer | `drain:${number}`>()
  const fork = yield* FiberMap.runtime(fibers)<R | SetupR>()
  const stopFiber = (key: Timer | `drain:${number}`) => {
    const fiber = FiberMap.getUnsafe(fibers, key)
    if (Option.isSome(fiber)) fiber.value.interruptUnsafe()
  }

  // -------------------------------------------------------------------------------------------------- what is known

  const begin = Transition.initial(rules)
  let model = begin.model
  let current: OpenSession<Client> | undefined
  let candidate: OpenSession<Client> | undefined
  let knownTools: ReadonlySet<string> | undefined
  const draining = new Map<number, OpenSession<Client>>()
  const subscriptions = new Set<string>()
  let attemptDueAt: number | undefined
  /** of the wall clock: when the state began, and when the attempt that is armed is due */
  let since = clock.currentTimeMillisUnsafe()
  let nextAttemptAt: number | undefined
  /** the state as it is told, once it was */
  let told: ConnectionState | undefined
  let left: ConnectionState | undefined
  const state = () => (told ??= timed(model.state, since, nextAttemptAt))
  let attemptEndsAt: number | undefined
  let detail: FailureDetail | undefined
  const waiters = new Set<() => boolean>()
  const doubters = new Set<() => void>()
  const resting = new Set<() => void>()

  // ---------------------------------------------------------------------------------------------------- the signals

  const turns = Turns.make<Signal>(
    (signal) => take(Transition.step(rules, model, signal)),
    () => {
      if (!model.running) flush(resting)
    }
  )
  const { later, send } = turns
  const take = (step: Transition.Step) => {
    if (step.model.state !== model.state) {
      left = state()
      told = undefined
      nextAttemptAt = undefined
      since = clock.currentTimeMillisUnsafe()
    }
    model = step.model
    // before the actions: a probe may be begun and answered within one
    if (current && model.state._tag === "Connected") {
      current.seen.missedSince = undefined
      current.detail = undefined
    }
    for (const action of step.actions) perform(action)
  }
  const flush = (listeners: Set<() => void>) => {
    for (const listener of listeners) later(listener)
    listeners.clear()
  }

  // ---------------------------------------------------------------------------------------------------- the actions

  const perform = (action: Action) => {
    switch (action._tag) {
      case "Run":
        stopRun()
        fork("run", concluding(action, action.kind === "attempt" ? attempt(action) : probe(action)))
        return
      case "Stop":
        return stopRun()
      case "Arm":
        fork(action.timer, timer(action))
        return
      case "Disarm":
        if (action.timer === "attempt") attemptDueAt = undefined
        return stopFiber(action.timer)
      case "Reset":
        return delays.reset(action.schedule)
      case "Adopt":
        return adopt()
      case "Drop":
        return drop(action)
      case "DropDraining":
        for (const open of [...draining.values()]) finish(open, open.draining ?? "closed")
        return
      case "Settle":
        if (action.who === "doubters") return flush(doubters)
        for (const waiter of waiters) later(() => waiters.has(waiter) && waiter() && waiters.delete(waiter))
        return
      case "Emit":
        return emit(withTimes(action.happening))
    }
  }

  const withTimes = (telling: Telling): Happening => {
    switch (telling._tag) {
      case "Started":
        return { _tag: "Started", state: state() }
      case "StateChanged":
        return { _tag: "StateChanged", from: left ?? state(), to: state() }
      default:
        return telling
    }
  }

  type Run = Extract<Action, { _tag: "Run" }>

  /** Ends what runs, and what it has opened and nobody will adopt. Its end is awaited as that of a session is. */
  const stopRun = () => {
    const running = Option.getOrUndefined(FiberMap.getUnsafe(fibers, "run"))
    running?.interruptUnsafe()
    if (running) close(Fiber.await(running))
    const orphan = candidate
    candidate = undefined
    if (orphan) close(Scope.close(orphan.scope, Exit.void))
    attemptEndsAt = undefined
  }

  /** However a run ends, the table is told: where it waits for an end that never comes, nothing is kept alive. */
  const concluding = <E, R>({ run }: Run, effect: Effect.Effect<void, E, R>): Effect.Effect<void, E, R> =>
    Effect.onExit(effect, (exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) conclude(run, concluded(broken(exit.cause)))
      })
    )

  const timer = Effect.fnUntraced(function* (action: Extract<Action, { _tag: "Arm" }>) {
    const armedAt = now()
    const delay = yield* delays.next(action.schedule, action.notBefore)
    const due =
      Duration.toMillis(delay) + (current && action.from !== "now" ? lastOf(current, action.from, armedAt) : armedAt)
    if (action.timer === "attempt") {
      attemptDueAt = due
      nextAttemptAt = Number.isFinite(due) ? clock.currentTimeMillisUnsafe() + due - armedAt : undefined
      told = undefined
      emit({ _tag: "AttemptScheduled", delay: Duration.millis(Math.max(0, due - armedAt)) })
    }
    if (due > armedAt) yield* Effect.sleep(Duration.millis(due - armedAt))
    if (action.timer === "attempt") attemptDueAt = undefined
    send({
      _tag: "Due",
      timer: action.timer,
      used: current !== undefined && isUsedSince(current, action.timer, armedAt)
    })
  })

  const adopt = () => {
    const open = candidate
    if (!open) return
    candidate = undefined
    detail = undefined
    if (current) draining.set(current.generation, current)
    current = open
    fork("tools", compareTools(open))
  }

  const sessionOf = (generation: number) => (current?.generation === generation ? current : draining.get(generation))

  const drop = (action: Extract<Action, { _tag: "Drop" }>) => {
    const open = sessionOf(action.generation)
    if (!open) return
    // what was seen before it was closed on purpose is not why
    if (action.reason === "closed") open.detail = undefined
    if (open === current) {
      current = undefined
      detail = open.detail
    }
    for (const timer of sessionTimers) stopFiber(timer)
    const bound = action.drain && policy[action.drain]
    if (bound === undefined) return finish(open, action.reason)
    open.draining = action.reason
    draining.set(open.generation, open)
    if (open.calls.size === 0) return finish(open, action.reason)
    emit({ _tag: "SessionDraining", generation: open.generation, reason: action.reason })
    fork(
      `drain:${open.generation}`,
      Effect.andThen(
        Effect.sleep(bound),
        Effect.sync(() => finish(open, action.reason))
      )
    )
  }
  const finish = (open: OpenSession<Client>, reason: FailureReason) => {
    if (open.ended !== undefined) return
    open.ended = reason
    open.seen.muted = true
    draining.delete(open.generation)
    stopFiber(`drain:${open.generation}`)
    emit({ _tag: "SessionClosed", generation: open.generation, reason, detail: open.detail?.summary })
    const calls = [...open.calls]
    open.calls.clear()
    for (const call of calls) later(() => call.abandon(reason))
    close(Scope.close(open.scope, Exit.void))
    turns.settle()
  }
  const released = (open: OpenSession<Client>) => {
    if (open.draining !== undefined && open.calls.size === 0) finish(open, open.draining)
  }

  // ------------------------------------------------------------------------------------------------------- attempts

  const attempt = Effect.fnUntraced(function* (action: Run) {
    // Servers that keep one session only accept no other until the old one is gone. An exclusive transport never has two,
    // however long the end of the old one takes, which it bounds itself.
    const closed = FiberSet.awaitEmpty(closings)
    attemptEndsAt = now() + Duration.toMillis(policy.connectTimeout)
    yield* connector.exclusive ? closed : Effect.timeoutOption(closed, policy.connectTimeout)
    const startedAt = now()
    attemptEndsAt = startedAt + Duration.toMillis(policy.connectTimeout)
    const generation = model.generation + 1
    const scope = yield* Scope.make()
    let output: () => ReadonlyArray<string> = () => []
    const opening = (span: Tracer.Span | undefined) =>
      Attempt.open({
        connector,
        policy,
        setup: options.setup,
        generation,
        deep: action.deep,
        scope,
        now,
        subscriptions,
        report: { ...reportOf(generation), output: (last) => (output = last) },
        span
      }).pipe(
        Effect.match({
          onFailure: (conclusion) => conclusion,
          onSuccess: (open) => {
            candidate = open
            return concluded(succeeded)
          }
        }),
        Effect.catchCause((cause) => Effect.succeed(concluded(broken(cause)))),
        Effect.timeoutOrElse({ duration: policy.connectTimeout, orElse: () => Effect.succeed(concluded(timedOut)) }),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            if (Exit.isSuccess(exit) && exit.value.verdict._tag === "Succeeded") return
            candidate = undefined
            close(Scope.close(scope, Exit.void))
          })
        )
      )
    const about = { backend_id: options.id, generation }
    const { late: wasLate, verdict } = yield* Tracing.run(policy, "connect", about, opening)
    const took = now() - startedAt
    const late = verdict._tag === "Failed" && (wasLate || isLate(took, policy.connectTimeout))
    if (verdict._tag === "Succeeded") {
      emit({ _tag: "AttemptSucceeded", generation, duration: Duration.millis(took) })
    } else if (!late) {
      const told = withOutput(verdict.detail, output())
      if (!current) detail = told
      const reason = Evidence.reasonOfVerdict(verdict)
      emit({ _tag: "AttemptFailed", reason, detail: told?.summary, duration: Duration.millis(took) })
    }
    attemptEndsAt = undefined
    conclude(action.run, { verdict, late })
  })

  const reportOf = (generation: number): Omit<Attempt.Report, "output"> => ({
    observe: (evidence) => {
      const doubt = Evidence.ofStream(evidence)
      if (doubt) send({ _tag: "Doubt", generation, doubt, reason: Evidence.reasonOf(evidence) })
    },
    lost: (reason, told) => {
      const open = sessionOf(generation)
      if (open) open.detail = told
      if (open && open === current) detail = told
      // the table knows of the current session only: what happens to one that drains leads to nothing but its end
      if (draining.has(generation) && open) finish(open, reason)
      send({ _tag: "Lost", generation, reason })
    },
    notice: (notice, count) => emit({ _tag: "Noticed", notice, count })
  })

  const compareTools = (open: OpenSession<Client>) =>
    open.session.tools.pipe(
      Effect.timeout(policy.connectTimeout),
      Effect.map((tools) => {
        open.tools = new Map(tools.map((tool) => [tool.name, tool]))
        const names = new Set(open.tools.keys())
        const before = knownTools ?? names
        knownTools = names
        const added = [...names].filter((name) => !before.has(name))
        const removed = [...before].filter((name) => !names.has(name))
        if (added.length > 0 || removed.length > 0) emit({ _tag: "ToolsChanged", added, removed })
      }),
      Effect.ignore
    )

  // --------------------------------------------------------------------------------------------------------- probes

  const probe = Effect.fnUntraced(function* (action: Run) {
    const open = current
    if (!open) return
    if (action.refresh) yield* Effect.timeoutOption(open.refresh, policy.timeout)
    const startedAt = now()
    const deep = action.kind === "deepProbe"
    const rung = deep ? "list-tools" : (open.ladder.latched ?? Probe.rungOf(policy.probe, open.session))._tag
    if (action.counted) emit({ _tag: "ProbeSent", method: rung })
    const about = { backend_id: options.id, method: rung }
    const { asked, method, verdict } = yield* Tracing.run(policy, "probe", about, (span) => {
      Tracing.link(span, open)
      return Effect.catchCause(Probe.ask(open.session, open.ladder, policy, deep), (cause) =>
        Effect.succeed({ asked: 1, method: rung, verdict: broken(cause) })
      )
    })
    const endedAt = now()
    const late = verdict._tag === "Failed" && isLate(endedAt - startedAt, policy.timeout, asked)
    if (verdict._tag === "Succeeded") open.seen.answer = endedAt
    else open.seen.missedSince ??= startedAt
    if (!late) open.detail = Evidence.detailOfVerdict(verdict)
    if (action.counted && verdict._tag === "Succeeded") {
      emit({ _tag: "ProbeSucceeded", method, latency: Duration.millis(endedAt - startedAt) })
    } else if (action.counted && verdict._tag !== "Busy" && !late) {
      const reason = Evidence.reasonOfVerdict(verdict)
      emit({ _tag: "ProbeFailed", method, reason, detail: open.detail?.summary })
    }
    conclude(action.run, { verdict, late })
  })

  const conclude = (run: number, { late, verdict }: Conclusion) => {
    const probed = candidate === undefined || Probe.isProbed(policy.probe, candidate.session)
    send(signalOf(verdict, { run, current, at: now(), late, probed, draining: draining.size > 0 }))
  }

  // ---------------------------------------------------------------------------------------------------- begin and end

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      send({ _tag: "Closed" })
      return Effect.andThen(FiberMap.clear(fibers), FiberSet.awaitEmpty(closings))
    }).pipe(Effect.ensuring(Effect.sync(announcer.end)))
  )
  yield* ClockWatcher.watch(() => send({ _tag: "Jumped" }))
  take(begin)
  turns.settle()

  const until = (at: number | undefined) => (at === undefined ? undefined : Duration.millis(Math.max(0, at - now())))
  const supervisor: Supervisor<Client> = {
    send,
    state,
    current: () => (current && admission(model.state) === "run" ? current : undefined),
    isOpen: (open) => open === current,
    now,
    detail: () => (current ? current.detail : detail),
    untilAttempt: () => until(attemptDueAt),
    untilVerdict: () => until(attemptEndsAt),
    waiters,
    doubters,
    resting,
    released,
    announcer
  }
  return supervisor
})

/** Timers that belong to a session and end with it. */
const sessionTimers: ReadonlyArray<Timer> = ["probe", "stable", "idle", "deep"]

/** What there is to say of an attempt that failed: what was seen and, unless that says it, what the server wrote last. */
const withOutput = (detail: FailureDetail | undefined, output: ReadonlyArray<string>): FailureDetail | undefined =>
  output.length === 0 || (detail && detail.output.length > 0) ? detail : { summary: detail?.summary, output }

const concluded = (verdict: Evidence.Verdict): Conclusion => ({ verdict, late: false })
const succeeded: Evidence.Verdict = { _tag: "Succeeded" }
/** A transport, or code of the user's that it runs, has thrown: a defect of theirs must not end the keeping alive. */
const broken = (cause: Cause.Cause<unknown>): Evidence.Verdict => ({
  _tag: "Failed",
  reason: "unknown",
  detail: ofCause(cause)
})
const timedOut: Evidence.Verdict = { _tag: "Failed", reason: "timeout", detail: undefined }
