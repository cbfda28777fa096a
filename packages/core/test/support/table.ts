/**
 * The transition table under examination: every signal that a model can meet, a supervisor reduced to its bookkeeping,
 * and the promises that hold at every step.
 */
import { Duration } from "effect"
import { type Action, type Probe, type Signal, Transition } from "../../src/engine/index.ts"
import type { Doubt } from "../../src/Evidence.ts"
import type { ConnectionState, FailureReason } from "../../src/index.ts"
import { ConnectionState as States } from "../../src/index.ts"

export type Rules = Transition.Rules

export const rules = (over: Partial<Rules> = {}): Rules => ({
  failureThreshold: 3,
  circuitFailures: 5,
  busyAttempts: 20,
  inFlightGrace: Duration.minutes(5),
  connect: "eager",
  reattempt: "immediate",
  sleepsWhenIdle: false,
  expires: false,
  exclusive: false,
  ...over
})

const lazy = { connect: "lazy", sleepsWhenIdle: true, expires: true, exclusive: true } as const

const attentions: ReadonlyArray<Probe.Attention> = ["always", "inUse", "never"]

/** Rules, and when sessions are probed under them: not all of it everywhere, because an exploration takes twice as long with it. */
export interface Kind {
  readonly rules: Rules
  readonly attentions: ReadonlyArray<Probe.Attention>
}

/** Every threshold with every circuit, and every kind of life. */
export const everyKind: ReadonlyArray<Kind> = [
  {
    rules: rules({ failureThreshold: 1, circuitFailures: 1, busyAttempts: 2, expires: true }),
    attentions: ["always", "never"]
  },
  { rules: rules({ failureThreshold: 1, circuitFailures: 2, busyAttempts: 1, ...lazy }), attentions },
  {
    rules: rules({
      failureThreshold: 1,
      circuitFailures: Number.POSITIVE_INFINITY,
      busyAttempts: 2,
      reattempt: "backoff",
      sleepsWhenIdle: true
    }),
    attentions: ["inUse"]
  },
  {
    rules: rules({
      failureThreshold: 3,
      circuitFailures: Number.POSITIVE_INFINITY,
      busyAttempts: 1,
      ...lazy,
      expires: false
    }),
    attentions: ["always", "inUse"]
  },
  { rules: rules({ failureThreshold: 2, circuitFailures: 2, busyAttempts: 3 }), attentions: ["always", "never"] }
]

const timers: ReadonlyArray<Signal.Timer> = ["probe", "attempt", "stable", "idle", "lifetime", "deep"]
const sessionTimers: ReadonlyArray<Signal.Timer> = ["probe", "stable", "idle", "lifetime", "deep"]
const commands: ReadonlyArray<Signal.Command> = ["probe", "reconnect", "isolate", "reset"]
const doubts: ReadonlyArray<Doubt> = ["session", "upstream", "auth", "transport", "stream", "stale"]
const reasons: ReadonlyArray<FailureReason.FailureReason> = ["timeout", "session_lost", "http_4xx"]

/** Where the supervisor stands, as far as the table can know it. */
export interface World {
  readonly model: Transition.Model
  readonly armed: ReadonlySet<Signal.Timer>
  readonly running: { readonly run: number; readonly kind: string; readonly deep: boolean } | undefined
  /** the session that is open and not draining */
  readonly session: number | undefined
}

export const generationOf = (state: ConnectionState.Untimed): number | undefined =>
  state._tag === "Connected" || state._tag === "Unhealthy" ? state.generation : undefined

/** Every variant of every signal, those of older runs and generations included. */
export const signals = (
  model: Transition.Model,
  grace: Duration.Duration,
  attended: ReadonlyArray<Probe.Attention> = attentions
): ReadonlyArray<Signal.Signal> => {
  const run = model.running?.run ?? model.runs + 1
  const generation = generationOf(model.state) ?? model.generation + 1
  const failed = {
    _tag: "Failed",
    run,
    callInFlight: false,
    silentFor: Duration.zero,
    missedFor: Duration.zero,
    late: false,
    draining: false
  } as const
  const older: ReadonlyArray<Signal.Signal> = [
    { _tag: "Succeeded", run: run - 1, attention: "always" },
    { ...failed, run: run - 1, reason: "timeout" },
    { _tag: "Busy", run: run - 1, retryAfter: undefined },
    { _tag: "AuthRejected", run: run - 1 },
    ...doubts.map((doubt) => ({ _tag: "Doubt", generation: generation - 1, doubt, reason: "reset" }) as const),
    { _tag: "Lost", generation: generation - 1, reason: "process_exit" },
    { _tag: "CallAnswered", generation: generation - 1 }
  ]
  return [
    ...older,
    ...attended.map((attention) => ({ _tag: "Succeeded", run, attention }) as const),
    ...reasons.flatMap((reason) => [false, true].map((late) => ({ ...failed, reason, late }))),
    { ...failed, reason: "timeout", callInFlight: true },
    { ...failed, reason: "timeout", callInFlight: true, late: true },
    { ...failed, reason: "timeout", callInFlight: true, silentFor: grace },
    { ...failed, reason: "timeout", callInFlight: true, missedFor: Duration.times(grace, 4) },
    { ...failed, reason: "reset", callInFlight: true },
    { ...failed, reason: "http_4xx", draining: true },
    { _tag: "Busy", run, retryAfter: undefined },
    { _tag: "Busy", run, retryAfter: Duration.seconds(7) },
    { _tag: "AuthRejected", run },
    ...timers.flatMap((timer) => [false, true].map((used) => ({ _tag: "Due", timer, used, calls: "none" }) as const)),
    ...[false, true].map((used) => ({ _tag: "Due", timer: "probe", used, calls: "waiting" }) as const),
    { _tag: "Due", timer: "probe", used: false, calls: "idle" },
    ...doubts.map((doubt) => ({ _tag: "Doubt", generation, doubt, reason: "reset" }) as const),
    { _tag: "Lost", generation, reason: "process_exit" },
    { _tag: "CallAnswered", generation },
    { _tag: "CallStarted" },
    ...commands.map((command) => ({ _tag: "Operator", command }) as const),
    { _tag: "Reconfigured", connection: true, policy: false, attention: "always" },
    ...attended.map((attention) => ({ _tag: "Reconfigured", connection: false, policy: true, attention }) as const),
    { _tag: "Jumped" },
    { _tag: "Closed" }
  ]
}

/** Whether the supervisor can send it now: a timer that is not armed does not come due. */
export const isPossible = (world: World, signal: Signal.Signal): boolean =>
  signal._tag !== "Due" || world.armed.has(signal.timer)

const isStale = (model: Transition.Model, signal: Signal.Signal): boolean =>
  ("run" in signal && signal.run !== model.running?.run) ||
  ("generation" in signal && signal.generation !== generationOf(model.state))

export class Broken extends Error {
  override readonly name = "Broken"
}

const promise = (holds: boolean, text: string): void => {
  if (!holds) throw new Broken(text)
}

export const begin = (given: Rules): World => {
  const step = Transition.initial(given)
  return perform(
    given,
    { model: step.model, armed: new Set(), running: undefined, session: undefined },
    undefined,
    step
  )
}

/** Takes a signal, performs the actions and holds the table to its promises. */
export const take = (given: Rules, world: World, signal: Signal.Signal): World => {
  const step = Transition.step(given, world.model, signal)
  if (isStale(world.model, signal)) {
    promise(
      step.model === world.model && step.actions.length === 0,
      "a signal of an older run or generation changes nothing"
    )
    return world
  }
  if (step.model === world.model && step.actions.length === 0 && signal._tag !== "Due") return world
  const next = perform(given, world, signal, step)
  examineStep(given, world, signal, step)
  examineState(given, next)
  return next
}

// ------------------------------------------------------------------------------------------------- the bookkeeping

const drainOf = (
  reason: FailureReason.FailureReason,
  about: { readonly exclusive: boolean; readonly isReplaced: boolean; readonly isUnprobed: boolean }
) => {
  if (about.isReplaced) return "drainTimeout"
  if (about.exclusive) return undefined
  if (about.isUnprobed) return "drainTimeout"
  return reason === "session_lost" ? "timeout" : reason === "auth" ? "drainTimeout" : undefined
}

const concludes = (signal: Signal.Signal | undefined): boolean => signal !== undefined && "run" in signal

const perform = (
  { exclusive }: Rules,
  world: World,
  signal: Signal.Signal | undefined,
  step: Transition.Step
): World => {
  const armed = new Set(world.armed)
  let { running, session } = world
  if (signal?._tag === "Due") armed.delete(signal.timer)
  const began = running
  if (concludes(signal)) running = undefined
  let runs = 0
  for (const action of step.actions) {
    switch (action._tag) {
      case "Run":
        promise(++runs === 1, "a step starts one thing at most")
        promise(action.run > (signal === undefined ? 0 : world.model.runs), "every run has a number of its own")
        promise(action.kind === "attempt" || session !== undefined, "a probe runs on a session that is open")
        running = { run: action.run, kind: action.kind, deep: action.deep }
        break
      case "Stop":
        promise(began !== undefined, "what is stopped was running")
        running = undefined
        break
      case "Arm":
        promise(
          action.timer === "attempt" || session !== undefined,
          "the timers of a session are armed while it is open"
        )
        armed.add(action.timer)
        break
      case "Disarm":
        armed.delete(action.timer)
        break
      case "Adopt":
        promise(
          signal?._tag === "Succeeded" && began?.kind === "attempt" && began.run === signal.run,
          "a session is adopted from the attempt that succeeded, and only from it"
        )
        promise(action.generation === world.model.generation + 1, "generations count up by one")
        promise(!world.model.deep || began?.deep === true, "a latched deep probe is passed before a session is adopted")
        session = action.generation
        break
      case "Drop":
        promise(
          action.generation === session || (action.reason === "closed" && action.generation === world.session),
          "what is dropped is open"
        )
        promise(
          action.drain ===
            drainOf(action.reason, {
              exclusive,
              isReplaced: action.generation !== session,
              isUnprobed: signal?._tag === "Doubt" && world.model.attention === "never"
            }),
          "calls end by themselves where another session was adopted, where a server lives that refuses this one, and where one call's failure is all there is to go by"
        )
        for (const timer of sessionTimers) armed.delete(timer)
        if (action.generation === session) session = undefined
        break
      default:
        break
    }
  }
  promise(running?.run === step.model.running?.run, "the model names exactly what runs")
  promise(running?.kind === step.model.running?.kind, "the model names the kind of what runs")
  promise(session === generationOf(step.model.state), "the state names exactly the session that is open")
  return { model: step.model, armed, running, session }
}

// ---------------------------------------------------------------------------------------------------- the promises

const settles = (step: Transition.Step, who: "waiters" | "doubters") =>
  step.actions.some((action) => action._tag === "Settle" && action.who === who)
const emits = (step: Transition.Step, tag: string) =>
  step.actions.some((action) => action._tag === "Emit" && action.happening._tag === tag)
const resets = (step: Transition.Step, schedule: Action.ScheduleName) =>
  step.actions.some((action) => action._tag === "Reset" && action.schedule === schedule)
const runOf = (step: Transition.Step) => step.actions.find((action) => action._tag === "Run")

const isHeld = (state: ConnectionState.Untimed) => state._tag === "Unhealthy" && state.held
const isExcused = (given: Rules, signal: Extract<Signal.Signal, { _tag: "Failed" }>) =>
  signal.reason === "timeout" &&
  signal.callInFlight &&
  Duration.isLessThan(signal.silentFor, given.inFlightGrace) &&
  Duration.isLessThan(signal.missedFor, Duration.times(given.inFlightGrace, 4))

/** What leads to another session in the place of one that is open. */
const beginsReplacement = (signal: Signal.Signal, { outdated }: Transition.Model): boolean => {
  if (signal._tag === "Operator") return signal.command === "reconnect"
  if (signal._tag === "Reconfigured") return signal.connection
  return signal._tag === "Due" && (signal.timer === "lifetime" || (signal.timer === "attempt" && outdated))
}

const isShut = ({ state }: Transition.Model) => state._tag === "Isolated" || state._tag === "Closed"

/** Whether it is asked again and again although nothing speaks against it. */
const isWatched = ({ attention }: Transition.Model) => attention === "always" || attention === "inUse"
const isInQuestion = (model: Transition.Model) => model.state._tag === "Unhealthy" || model.deep || wantsProbe(model)
const wantsProbe = (model: Transition.Model) => model.doubt !== undefined || (model.upstream && !model.resting)

const examineStep = (given: Rules, before: World, signal: Signal.Signal, step: Transition.Step): void => {
  const from = before.model
  const to = step.model
  const isReset = signal._tag === "Operator" && signal.command === "reset"
  const isRenewed = signal._tag === "Reconfigured" && generationOf(from.state) === undefined
  const isForgiven = isReset || (signal._tag === "Reconfigured" && signal.connection)
  const isReplaced = step.actions.some((action) => action._tag === "Adopt")
  const dropped = isReplaced ? undefined : step.actions.find((action) => action._tag === "Drop")

  const isNextAttempt = (action: Action.Action) => action._tag === "Arm" && action.timer === "attempt"
  const isChange = (action: Action.Action) => action._tag === "Emit" && action.happening._tag === "StateChanged"
  const changes = step.actions.filter(isChange)
  if (signal._tag === "CallAnswered" && !Transition.heedsAnswers(from)) {
    promise(to === from && step.actions.length === 0, "an answer that is not heeded would change nothing")
  }
  promise(changes.length === (from.state === to.state ? 0 : 1), "a change of state is told once")
  if (from.state !== to.state) {
    const first = step.actions.find((action) => !isNextAttempt(action))
    promise(
      first?._tag === "Emit" &&
        first.happening._tag === "StateChanged" &&
        first.happening.from === from.state &&
        first.happening.to === to.state,
      "a change of state is told first, with both states"
    )
    promise(
      step.actions.findLastIndex(isNextAttempt) < step.actions.findIndex(isChange),
      "but for the attempt that is waited for in it, whose time is told with it"
    )
  }

  // final and shut states
  if (from.state._tag === "Closed") promise(to === from && step.actions.length === 0, "Closed is final")
  if (from.state._tag === "Isolated" && signal._tag !== "Closed") {
    promise(isReset || to === from, "Isolated is left by reset only")
  }

  if (from.state !== to.state && (to.state._tag === "Isolated" || to.state._tag === "Closed")) {
    promise(
      step.actions.some((action) => action._tag === "DropDraining"),
      "nothing of a backend that is shut goes on draining"
    )
  }

  // counters and schedules
  const proven = emits(step, "Stabilized")
  const isAfresh = proven || isReset || isRenewed
  promise(
    !resets(step, "backoff") || isAfresh,
    "backoff begins afresh when stable, by reset, or where it is another one"
  )
  promise(
    !resets(step, "openFor") || isAfresh,
    "openFor begins afresh when stable, by reset, or where it is another one"
  )
  const isForgotten = proven || isForgiven
  promise(
    to.failures >= from.failures || isForgotten,
    "failures are forgotten when stable, by reset, and of another connection"
  )
  promise(
    to.openings >= from.openings || isForgotten,
    "openings are forgotten when stable, by reset, and of another connection"
  )
  promise(to.busies <= given.busyAttempts, "what is counted has an end")
  promise(to.failures <= from.failures + 1 && to.openings <= from.openings + 1, "one thing counts once")
  promise(to.openings > from.openings === emits(step, "CircuitOpened"), "every opening of the circuit is told")
  if (proven) {
    const isAnswer = signal._tag === "CallAnswered" || signal._tag === "Succeeded"
    promise(
      isAnswer
        ? from.stable === "due"
        : signal._tag === "Due" && signal.timer === "stable" && from.attention !== "always",
      "a session is stable when an answer came after stableAfter; where nothing is asked at rest, by the time alone"
    )
  }
  if (from.stable === "yes" && generationOf(from.state) === generationOf(to.state)) {
    promise(to.stable === "yes", "a stable session stays stable")
  }

  if (step.actions.some((action) => action._tag === "Adopt")) {
    const isFresh = to.stable === "no" && !to.deep && !to.upstream && !to.resting && to.doubt === undefined
    promise(isFresh, "a new session inherits nothing: it is neither stable nor in doubt")
  }
  if (from.running && runOf(step) && !concludes(signal)) {
    promise(
      step.actions.some((action) => action._tag === "Stop") ||
        (beginsReplacement(signal, from) && (from.running.kind !== "attempt" || signal._tag === "Reconfigured")),
      "what runs comes to its end, unless its session is gone or is to be replaced"
    )
  }

  // a session that dies
  if (dropped?._tag === "Drop" && dropped.reason !== "closed" && to.state._tag !== "NeedsAuth") {
    const isReplacing = from.running?.kind === "attempt"
    if (isReplacing) promise(to.state._tag === "Connecting", "a replacement under way goes on when the session dies")
    else if (from.stable === "yes") {
      const waits = given.reattempt === "backoff" ? "Disconnected" : "Connecting"
      promise(
        to.state._tag === waits,
        "a stable session is attempted anew at once, or with backoff where the rules say so"
      )
      promise(to.failures === from.failures, "and its loss is no failure")
    } else {
      promise(to.failures === from.failures + 1, "a session lost before it was stable counts as a failed attempt")
      promise(to.state._tag === "Disconnected" || to.state._tag === "CircuitOpen", "and the next attempt waits")
    }
  }
  if (dropped && !(signal._tag === "Due" && signal.timer === "idle")) {
    promise(
      ["Lost", "Failed", "AuthRejected", "Doubt", "Operator", "Closed"].includes(signal._tag) ||
        (given.exclusive && beginsReplacement(signal, from)),
      "a session ends for a reason"
    )
  }
  if (before.session !== undefined && generationOf(to.state) !== before.session) {
    promise(settles(step, "doubters"), "who waits for a doubt learns that its session is gone")
  }
  const isPending = ({ doubt, running }: Transition.Model) => doubt !== undefined || running?.decides !== undefined
  if (isPending(from) && !isPending(to)) {
    promise(settles(step, "doubters"), "who waits for a doubt is not forgotten, whatever comes in between")
  }
  if (
    concludes(signal) &&
    from.running?.decides !== undefined &&
    signal._tag === "Succeeded" &&
    to.doubt === undefined &&
    to.running?.decides === undefined
  ) {
    promise(settles(step, "doubters"), "who waits for a doubt learns that it was decided")
  }

  if (signal._tag === "Succeeded" && from.running?.kind !== "attempt" && to.running?.decides !== undefined) {
    promise(!settles(step, "doubters"), "who waits for a doubt learns nothing before it was decided")
  }

  // waiting
  const waited = States.admission(from.state) === "wait" && from.state._tag !== "Idle"
  if (waited && States.admission(to.state) !== "wait") {
    promise(settles(step, "waiters"), "waiters learn that waiting is over or pointless")
  }
  const isSessionless = generationOf(to.state) === undefined
  if (waited && isSessionless && step.actions.some((action) => action._tag === "Arm" && action.timer === "attempt")) {
    promise(settles(step, "waiters"), "waiters learn when the next attempt is due")
    const actions = step.actions.map((action) => action._tag)
    promise(actions.lastIndexOf("Settle") > actions.lastIndexOf("Arm"), "and learn it after it was armed")
  }
  if (isHeld(from.state) && !isHeld(to.state)) {
    promise(settles(step, "waiters"), "whom a held session did not admit looks again as soon as it is held no longer")
    promise(
      generationOf(to.state) !== generationOf(from.state) || to.state._tag === "Connected",
      "a session is held until it is Connected again, replaced or gone"
    )
  }
  if (isHeld(to.state)) promise(States.admission(to.state) === "wait", "a held session admits no new call")
  if (signal._tag === "Reconfigured" && !signal.connection) {
    promise(
      before.session === generationOf(to.state) && to.generation === from.generation,
      "another policy alone leaves the session as it is"
    )
    promise(from.running === undefined || to.running === from.running, "and what runs")
    const rearmed = step.actions.find((action) => action._tag === "Arm" && action.timer === "attempt")
    promise(rearmed === undefined || (rearmed._tag === "Arm" && rearmed.sooner), "and never puts an attempt off")
  }
  if (signal._tag === "Reconfigured" && signal.connection && !isShut(to)) {
    promise(
      to.failures + to.openings + to.busies === 0,
      "what attempts of one connection have met is not held against another"
    )
  }
  if (signal._tag === "Reconfigured" && signal.connection && to.state._tag !== "Idle" && to.state._tag !== "Isolated") {
    promise(
      from.state._tag === "Closed" || (runOf(step)?.kind === "attempt" && to.running !== from.running),
      "another connection is tried at once, also in place of an attempt with the one before"
    )
  }
  if (signal._tag === "CallStarted" && from.state._tag === "Idle") {
    promise(runOf(step)?.kind === "attempt", "a call wakes an idle backend")
  }

  if (signal._tag === "Due") {
    const rearmed = step.actions.find((action) => action._tag === "Arm" && action.timer === signal.timer)
    const isAtOnce = rearmed?._tag === "Arm" && rearmed.from !== "now"
    promise(!isAtOnce || signal.used, "a timer that came due without use begins anew from now, so that it rests")
  }

  if (signal._tag === "Jumped") {
    const isAsked = step.actions.some(({ _tag }) => _tag === "Run")
    const keepsItsTime = to.state === from.state && step.actions.length === 0
    const isUp = from.state._tag === "Connected" || from.state._tag === "Unhealthy"
    promise(
      from.running !== undefined || !(isUp || from.state._tag === "Disconnected") ? keepsItsTime : isAsked,
      "a jump of the clock asks once what has a session or waits to be tried again; all else keeps its time"
    )
  }

  const isCrowded = signal._tag === "Failed" && signal.draining && signal.reason === "http_4xx"
  if (isCrowded && from.state._tag === "Connecting" && from.running?.jumped === false && !signal.late) {
    const goesFirst = step.actions.findIndex(({ _tag }) => _tag === "DropDraining")
    promise(
      to.failures === from.failures &&
        goesFirst >= 0 &&
        goesFirst < step.actions.findIndex(({ _tag }) => _tag === "Run"),
      "an attempt that a server refuses while an older session drains is made again, uncounted, when that one is gone"
    )
  }

  // what failures prove
  if (signal._tag === "Failed" && from.running?.kind === "attempt") {
    const isJumped = from.running.jumped && from.state._tag === "Connecting"
    if (signal.late || isJumped) {
      promise(
        to.state === from.state && to.failures === from.failures && runOf(step)?.kind === "attempt",
        "an attempt whose failure proves nothing is made again, uncounted"
      )
    }
  }
  if (signal._tag === "Failed" && from.running && from.running.kind !== "attempt") {
    if (signal.late || from.running.jumped) {
      promise(
        to.state === from.state && runOf(step)?.kind === from.running.kind,
        "a failure that proves nothing is asked again"
      )
    } else if (isExcused(given, signal)) {
      promise(dropped === undefined, "a call in flight excuses the timeout of a probe until the grace has passed")
    } else if (signal.reason !== "session_lost") {
      promise(!isHeld(to.state), "nothing else excuses it, and not for longer than four times the grace")
      promise(!isHeld(from.state) || dropped !== undefined, "and then a held session is given up")
    }
    if (signal.reason === "session_lost" && from.running.decides !== "session" && dropped) {
      promise(false, "a session refused once is asked about once more")
    }
  }
  const isBusyAttempt = signal._tag === "Busy" && from.state._tag === "Connecting"
  if (isBusyAttempt && from.busies + 1 >= given.busyAttempts) {
    promise(to.failures === from.failures + 1, "busy without an end is a failure: the delays grow, the circuit opens")
    const rearmed = step.actions.find((action) => action._tag === "Arm" && action.timer === "attempt")
    promise(
      rearmed?._tag === "Arm" && rearmed.notBefore === signal.retryAfter,
      "and the server's word is kept all the same"
    )
  } else if (signal._tag === "Busy") {
    promise(to.failures === from.failures && to.openings === from.openings, "busy is no failure")
  }
  if (to.busies > 0 && to.state !== from.state && concludes(signal)) {
    promise(isBusyAttempt, "only busy answers one after the other are a row")
  }
  if (signal._tag === "Busy" && from.state._tag === "Unhealthy" && to.state._tag === "Unhealthy") {
    promise(to.state.failures === from.state.failures, "busy is no failure")
  }

  // credentials
  if (runOf(step)?.refresh === true)
    promise(signal._tag === "AuthRejected" && !from.refreshed, "credentials are read again once")
  if (to.state._tag === "NeedsAuth" && from.state._tag !== "NeedsAuth") {
    promise(signal._tag === "AuthRejected" && from.refreshed, "credentials are needed after they were rejected twice")
  }

  // the deep probe
  if (from.deep && !to.deep) {
    promise(
      isForgiven ||
        (signal._tag === "Succeeded" && (from.running?.kind === "deepProbe" || before.running?.deep === true)),
      "the deep probe stays latched until it passes"
    )
  }
  if (from.deep && signal._tag === "CallAnswered")
    promise(to === from, "while the deep probe is latched, an answered call proves nothing")
  const run = runOf(step)
  if (run?.kind === "probe") promise(!to.deep, "while the deep probe is latched, nothing else is asked")
  if (run?.kind === "deepProbe" && !from.deep && from.running?.kind !== "deepProbe") {
    promise(
      !from.resting || (signal._tag === "Due" && signal.timer === "deep"),
      "the deep probe is asked once per confirmInterval"
    )
  }
  if (run)
    promise(
      run.counted === (run.kind === "attempt" || from.attention !== "never"),
      "what serves keepalive is counted, and nothing else"
    )
  if (run?.kind === "attempt") promise(run.deep === to.deep, "an attempt must pass the deep probe where it is latched")

  // what is wanted is asked, and nothing else
  const isProbeDue = signal._tag === "Due" && signal.timer === "probe" && before.session !== undefined && !from.running
  if (isProbeDue) {
    promise(!wantsProbe(from) || run !== undefined, "traffic makes no probe needless that has a doubt to decide")
  }
  if (isProbeDue && !isInQuestion(from)) {
    const isWaitedFor = from.attention === "always" || (from.attention === "inUse" && signal.calls === "waiting")
    promise((run !== undefined) === (isWaitedFor && !signal.used), "a healthy session is asked when the policy says so")
    promise(
      (from.attention === "inUse" && signal.calls === "none") === (to.attention !== from.attention),
      "one that is asked only in use comes to rest when no call runs"
    )
  }
  if (to.attention === "atRest" && !isInQuestion(to)) {
    promise(
      !step.actions.some((action) => action._tag === "Arm" && action.timer === "probe"),
      "and at rest nothing wakes for it"
    )
  }
  if (signal._tag === "CallStarted" && before.session !== undefined) {
    promise(to.attention === (from.attention === "atRest" ? "inUse" : from.attention), "the next call rouses it")
    promise(Transition.heedsCalls(from) || to === from, "a call that is not heeded would change nothing")
  }
  if (signal._tag === "CallAnswered" && !from.deep && from.state._tag === "Unhealthy") {
    promise(to.state._tag === "Connected", "an answered call makes an Unhealthy backend Connected")
    promise(!wantsProbe(from) || to.running !== undefined, "and a doubt that is open is decided now")
  }
  if (given.exclusive && run?.kind === "attempt") {
    promise(generationOf(to.state) === undefined, "an exclusive session is closed before another is opened")
  }
}

const examineState = (given: Rules, world: World): void => {
  const { armed, model } = world
  const { running, state } = model
  const isOpen = world.session !== undefined

  promise((state._tag === "CircuitOpen") <= (model.openings > 0), "an open circuit was opened")
  if (state._tag === "Connecting")
    promise(state.trial === model.openings > 0, "every attempt after the circuit opened is a trial")
  if (state._tag === "Disconnected") promise(model.openings === 0, "Disconnected means that the circuit is closed")
  if (state._tag === "CircuitOpen") promise(state.openings === model.openings, "the state tells the openings")
  if (state._tag === "Unhealthy") {
    promise(
      state.failures >= 1 && state.failures <= Math.max(1, given.failureThreshold - 1),
      "Unhealthy means 1 to failureThreshold - 1 failed probes"
    )
    promise(
      state.held || state.failures < given.failureThreshold,
      "what has missed failureThreshold probes is held, or given up"
    )
  }

  switch (state._tag) {
    case "Disconnected":
    case "CircuitOpen":
    case "NeedsAuth":
      promise(armed.has("attempt") && running === undefined, `${state._tag} leads on: its attempt is armed`)
      break
    case "Connecting":
      promise(running?.kind === "attempt", "Connecting means that an attempt runs")
      break
    case "Connected":
    case "Unhealthy":
      if (isWatched(model) || state._tag === "Unhealthy") {
        promise(
          running !== undefined || armed.has("probe"),
          "an open session that is probed has a probe running or armed"
        )
      }
      if (model.stable === "no") promise(armed.has("stable"), "a young session is on its way to be stable")
      if (given.sleepsWhenIdle) promise(armed.has("idle"), "a backend that sleeps has its idle timer armed")
      if (given.expires)
        promise(armed.has("lifetime") || model.outdated, "a session that has an end is on its way there")
      if (model.resting) promise(armed.has("deep"), "the rest of the deep probe ends")
      if (model.doubt !== undefined) promise(running !== undefined || armed.has("probe"), "a doubt is decided some day")
      if (model.upstream) {
        promise(
          running !== undefined || armed.has("probe") || armed.has("deep"),
          "a deep probe that is wanted is asked some day"
        )
      }
      break
    case "Idle":
    case "Isolated":
    case "Closed":
      promise(running === undefined && armed.size === 0, `${state._tag} rests: nothing runs and nothing is armed`)
      break
  }
  if (state._tag !== "Disconnected" && state._tag !== "CircuitOpen" && state._tag !== "NeedsAuth") {
    promise(!armed.has("attempt") || model.outdated, "an attempt is armed only where one is waited for")
  }
  promise(!model.outdated || isOpen, "only a session that is open is to be replaced")
  if (model.outdated) {
    promise(
      running?.kind === "attempt" || armed.has("attempt"),
      "a session that is to be replaced is so some day, however often that fails"
    )
    promise(running?.kind !== "attempt" || !armed.has("attempt"), "and one attempt at a time is made of it")
  }
  if (!isOpen)
    promise(
      sessionTimers.every((timer) => !armed.has(timer)),
      "the timers of a session end with it"
    )
}

// ------------------------------------------------------------------------------------------------- the exploration

/** A number as the next digit of another one, which has none above what it may be. */
const digit = (key: number, value: number, most: number): number => {
  if (value < 0 || value > most) throw new Broken(`a world has ${value} where ${most} was thought to be the most`)
  return key * (most + 1) + value
}
const flag = (key: number, value: boolean): number => digit(key, value ? 1 : 0, 1)
const word = <Word>(key: number, value: Word, words: ReadonlyArray<Word>): number =>
  digit(key, words.indexOf(value), words.length - 1)

const tags: ReadonlyArray<ConnectionState.Untimed["_tag"]> = [
  "Idle",
  "Connecting",
  "Connected",
  "Unhealthy",
  "Disconnected",
  "CircuitOpen",
  "NeedsAuth",
  "Isolated",
  "Closed"
]
const kinds: ReadonlyArray<Transition.Running["kind"] | undefined> = [undefined, "attempt", "probe", "deepProbe"]
const decidable: ReadonlyArray<Transition.Model["doubt"]> = [
  undefined,
  "session",
  "auth",
  "transport",
  "stream",
  "stale"
]
const phases: ReadonlyArray<Transition.Model["attention"]> = ["never", "always", "inUse", "atRest"]
const stabilities: ReadonlyArray<Transition.Model["stable"]> = ["no", "due", "yes"]

/**
 * What the table can tell apart: everything but counters that only grow, and reasons that are only told. A number, because much of
 * the time of an exploration is spent with it.
 */
const keyOf = (given: Rules, { armed, model, running, session }: World): number => {
  const { state } = model
  const begun = model.running
  const mostFailures = Number.isFinite(given.circuitFailures) ? given.circuitFailures : 1
  let key = word(0, state._tag, tags)
  key = digit(key, state._tag === "Unhealthy" ? state.failures : 0, given.failureThreshold)
  key = flag(key, isHeld(state))
  key = digit(key, model.busies, given.busyAttempts)
  key = digit(key, model.openings > 0 ? 0 : 1 + Math.min(model.failures, mostFailures), 1 + mostFailures)
  key = flag(flag(key, model.deep), model.refreshed)
  key = word(key, begun?.kind, kinds)
  key = word(key, begun?.decides, decidable)
  key = flag(flag(key, begun?.jumped === true), begun !== undefined && running?.deep === true)
  const isOpen = session !== undefined
  key = flag(key, isOpen)
  key = word(key, isOpen ? model.stable : "no", stabilities)
  key = word(key, isOpen ? model.attention : "never", phases)
  key = flag(key, model.outdated)
  key = flag(key, isOpen && model.resting)
  key = flag(key, isOpen && model.upstream)
  key = word(key, isOpen ? model.doubt : undefined, decidable)
  for (const timer of timers) key = flag(key, armed.has(timer))
  if (!Number.isSafeInteger(key)) throw new Broken("there are more worlds than there are numbers")
  return key
}

export interface Explored {
  readonly worlds: number
  readonly steps: number
  /** each promise that is broken, with the shortest way there */
  readonly broken: ReadonlyArray<string>
}

/** A way through the table, from its end. */
interface Path {
  readonly signal: Signal.Signal
  readonly before: Path | undefined
}

const signalsOf = (path: Path | undefined): ReadonlyArray<Signal.Signal> =>
  path === undefined ? [] : [...signalsOf(path.before), path.signal]

/** Meets every world that can be reached with every signal. */
export const explore = (
  { attentions, rules: given }: Kind,
  onStep: (before: World, signal: Signal.Signal, after: World) => void = () => {}
): Explored => {
  const first = begin(given)
  const known = new Set([keyOf(given, first)])
  const met: Array<{ readonly world: World; readonly path: Path | undefined }> = [{ world: first, path: undefined }]
  const broken = new Map<string, string>()
  let steps = 0
  // grows while it is walked
  for (const here of met) {
    for (const signal of signals(here.world.model, given.inFlightGrace, attentions)) {
      steps++
      if (!isPossible(here.world, signal)) {
        // total all the same
        const step = Transition.step(given, here.world.model, signal)
        promise(step.model !== undefined && Array.isArray(step.actions), "the table answers every signal")
        continue
      }
      let next: World
      try {
        next = take(given, here.world, signal)
      } catch (cause) {
        const text = cause instanceof Error ? cause.message : String(cause)
        const way = signalsOf({ signal, before: here.path })
          .map((each) => JSON.stringify(each))
          .join("\n  ")
        if (!broken.has(text)) broken.set(text, `${text}\nrules ${JSON.stringify(given)}\nafter\n  ${way}`)
        continue
      }
      if (next === here.world) continue
      onStep(here.world, signal, next)
      const key = keyOf(given, next)
      if (known.has(key)) continue
      known.add(key)
      met.push({ world: next, path: { signal, before: here.path } })
    }
  }
  return { worlds: known.size, steps, broken: [...broken.values()] }
}

// ------------------------------------------------------------------------------------------------ walks of examples

/** A walk through the table: signals by what they say, whatever runs or generation they concern. */
export interface Walk {
  readonly world: World
  readonly actions: ReadonlyArray<Action.Action>
}

export type Move = (model: Transition.Model) => Signal.Signal

const runNow = (model: Transition.Model) => model.running?.run ?? -1
const generationNow = (model: Transition.Model) => generationOf(model.state) ?? -1

export const succeeded: Move = (model) => ({ _tag: "Succeeded", run: runNow(model), attention: "always" })
/** an attempt whose session is left alone while it is healthy */
export const succeededUnprobed: Move = (model) => ({ _tag: "Succeeded", run: runNow(model), attention: "never" })
/** an attempt whose session is asked only while a call waits for its answer */
export const succeededInUse: Move = (model) => ({ _tag: "Succeeded", run: runNow(model), attention: "inUse" })
export const failed =
  (
    reason: FailureReason.FailureReason,
    also: Partial<Omit<Extract<Signal.Signal, { _tag: "Failed" }>, "_tag" | "run" | "reason">> = {}
  ): Move =>
  (model) => ({
    _tag: "Failed",
    run: runNow(model),
    reason,
    callInFlight: false,
    silentFor: Duration.zero,
    missedFor: Duration.zero,
    late: false,
    draining: false,
    ...also
  })
export const busy =
  (retryAfter?: Duration.Duration): Move =>
  (model) => ({ _tag: "Busy", run: runNow(model), retryAfter })
export const authRejected: Move = (model) => ({ _tag: "AuthRejected", run: runNow(model) })
export const due =
  (timer: Signal.Timer, used = false, calls: Extract<Signal.Signal, { _tag: "Due" }>["calls"] = "none"): Move =>
  () => ({ _tag: "Due", timer, used, calls })
export const doubt =
  (kind: Doubt): Move =>
  (model) => ({ _tag: "Doubt", generation: generationNow(model), doubt: kind, reason: "reset" })
export const lost =
  (reason: FailureReason.FailureReason = "process_exit"): Move =>
  (model) => ({ _tag: "Lost", generation: generationNow(model), reason })
export const callStarted: Move = () => ({ _tag: "CallStarted" })
export const callAnswered: Move = (model) => ({ _tag: "CallAnswered", generation: generationNow(model) })
export const operator =
  (command: Signal.Command): Move =>
  () => ({ _tag: "Operator", command })
export const reconfigured =
  (what: "connection" | "policy", attention: Probe.Attention = "always"): Move =>
  () => ({ _tag: "Reconfigured", connection: what === "connection", policy: what === "policy", attention })
export const jumped: Move = () => ({ _tag: "Jumped" })
export const closed: Move = () => ({ _tag: "Closed" })
/** a session opened and proven stable */
export const stable: ReadonlyArray<Move> = [succeeded, due("stable"), callAnswered]

/** Walks from the beginning, held to every promise on the way; returns where it ends, and the actions of the last step. */
export const walk = (given: Rules, ...moves: ReadonlyArray<Move>): Walk => {
  let world = begin(given)
  let actions: ReadonlyArray<Action.Action> = Transition.initial(given).actions
  for (const move of moves) {
    const signal = move(world.model)
    if (!isPossible(world, signal)) throw new Broken(`${JSON.stringify(signal)} is not possible here`)
    actions = Transition.step(given, world.model, signal).actions
    world = take(given, world, signal)
  }
  return { world, actions }
}
