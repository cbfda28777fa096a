/**
 * Performs the actions of the transition table, and has no rule of its own. Signals are taken in turns, synchronously; what is
 * due, what runs and which sessions there are have a module each.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type { Action, Telling } from "../engine/Action.ts"
import { admission, type ConnectionState } from "../ConnectionState.ts"
import type { Connector, EraMemory } from "../Connector.ts"
import type { FailureDetail } from "../FailureDetail.ts"
import type { Happening, Observer } from "../KeepaliveEvent.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import type { Lists as Known } from "../Lists.ts"
import type { Model, Rules, Step } from "../engine/Model.ts"
import type { Signal, Timer } from "../engine/Signal.ts"
import * as Probe from "../engine/Probe.ts"
import * as Starts from "../Starts.ts"
import * as Transition from "../engine/Transition.ts"
import { Announcer } from "./announcer.ts"
import type { Audience } from "./audience.ts"
import * as ClockWatcher from "./clockWatcher.ts"
import { Closings } from "./closings.ts"
import * as Deadlines from "./deadlines.ts"
import type { Limit } from "./limit.ts"
import * as Listening from "./listening.ts"
import { millisOf } from "./millis.ts"
import type { Pool } from "./pool.ts"
import { limitOf } from "./queueing.ts"
import { ReplayBudget } from "./replayBudget.ts"
import * as Pacer from "./pacer.ts"
import { Runs } from "./runs.ts"
import { callsOn, isUsedSince, lastOf, type OpenSession } from "./sessionCell.ts"
import { Sessions } from "./sessions.ts"
import { timed } from "./timed.ts"
import { Timers } from "./timers.ts"
import { providing } from "./transports.ts"
import { Turns } from "./turns.ts"

export interface Options<Client, R, SetupR> {
  readonly id: string
  readonly connector: Connector<Client, R>
  readonly policy: KeepalivePolicy
  readonly setup: ((client: Client) => Effect.Effect<unknown, unknown, SetupR>) | undefined
  readonly observers: ReadonlyArray<Observer>
  readonly audience: Audience | undefined
  /** places for calls that it shares with other backends */
  readonly pool: Pool | undefined
}

/** A backend that is supervised until it is ended. */
export const make = <Client, R, SetupR>(
  options: Options<Client, R, SetupR>,
  context: Context.Context<R | SetupR>
): Supervisor<Client> => new Supervised(options, context)

/** A backend, as its calls and its users see it. */
export interface Supervisor<Client> {
  readonly id: string
  readonly policy: KeepalivePolicy
  /** that of the policy, in milliseconds: it is looked at by every call */
  readonly staleAfter: number
  /** what limits its calls, where anything does */
  readonly limit: Limit | undefined
  /** how many of its calls may be run again, where that is limited */
  readonly replays: ReplayBudget | undefined
  readonly deadlines: Deadlines.Deadlines
  readonly announcer: Announcer
  readonly state: ConnectionState
  /** what the state is called: known without telling it with its times */
  readonly tag: ConnectionState["_tag"]
  /** the session that calls run on; `undefined` while there is none, or while it is held and admits none */
  readonly current: OpenSession<Client> | undefined
  /** what was seen when the session failed last; without one, when the last session or attempt failed */
  readonly detail: FailureDetail | undefined
  /** time until the next attempt, where one is waited for */
  readonly untilAttempt: Duration.Duration | undefined
  /** time until the attempt that runs has ended at the latest */
  readonly untilVerdict: Duration.Duration | undefined
  /** each is asked again whenever the state has something new for it, until it answers true */
  readonly waiters: Set<() => boolean>
  /** each is told once when a doubt was decided or the session is gone */
  readonly doubters: Set<() => void>
  /** each is told once when no attempt and no probe runs any more, and no signal waits */
  readonly resting: Set<() => void>
  /** monotonic milliseconds */
  readonly now: () => number
  readonly send: (signal: Signal) => void
  readonly emit: (happening: Happening) => void
  /** whether the session is still the one of the backend, held or not */
  readonly isOpen: (open: OpenSession<unknown>) => boolean
  /** a call has begun on it */
  readonly began: (open: OpenSession<unknown>) => void
  /** a request of a call was answered on it */
  readonly answered: (open: OpenSession<unknown>) => void
  /** a call has ended: a session that drains may close */
  readonly released: (open: OpenSession<unknown>) => void
  /** what the server lists, as far as it is known */
  readonly lists: Known
  /** Hears of changes on every session. */
  listen(options: Listening.Options): Listening.Heard
  /** Ends all that is its own, and waits until it has. */
  readonly end: Effect.Effect<void>
  /** how sessions are opened, with what that needs */
  readonly source: Connector<Client>
  /** goes on with another connector, or another policy, or both; nothing where both are as they were */
  reconfigure(next: Configuration<Client>): void
}

/** What of a backend may change while it lives. */
export interface Configuration<Client, R = never> {
  /** `undefined`: the one before */
  readonly connector: Connector<Client, R> | undefined
  readonly policy: KeepalivePolicy
}

class Supervised<Client, R, SetupR> implements Supervisor<Client> {
  readonly id: string
  policy: KeepalivePolicy
  staleAfter: number
  connector: Connector<Client, R>
  readonly setup: Options<Client, R, SetupR>["setup"]
  readonly deadlines: Deadlines.Deadlines
  readonly announcer: Announcer
  readonly fork: <A, E>(effect: Effect.Effect<A, E, R | SetupR>) => Fiber.Fiber<A, E>
  readonly closings: Closings
  readonly sessions: Sessions<Client>
  limit: Limit | undefined
  readonly clock: Clock.Clock
  readonly random: Random.Random
  readonly pacers: Pacer.Pacers
  // made for the first that asks: most backends have none
  #subscriptions: Set<string> | undefined
  readonly era: EraMemory = { legacyUntil: undefined }

  #rules: Rules
  readonly #turns: Turns<Signal>
  readonly #timers: Timers
  readonly #runs: Runs<Client, R, SetupR>
  #model: Model
  /** of the wall clock: when the state began, and when the attempt that is armed is due */
  #since: number
  #nextAttemptAt: number | undefined
  /** the state as it is told, once it was, and the one before it */
  #told: ConnectionState | undefined
  #left: ConnectionState | undefined
  // made when somebody waits: most backends have nobody for most of their time
  #waiters: Set<() => boolean> | undefined
  #doubters: Set<() => void> | undefined
  #resting: Set<() => void> | undefined
  readonly #context: Context.Context<R | SetupR>
  readonly #pool: Pool | undefined
  // made for the first call
  #replays: ReplayBudget | undefined

  constructor(
    { audience, connector, id, observers, policy, pool, setup }: Options<Client, R, SetupR>,
    context: Context.Context<R | SetupR>
  ) {
    this.id = id
    this.policy = policy
    this.staleAfter = millisOf(policy.staleAfter)
    this.connector = connector
    this.setup = setup
    this.clock = Context.get(context, Clock.Clock)
    this.deadlines = Deadlines.of(context)
    this.#context = context
    this.fork = Effect.runForkWith(context)
    this.random = Context.get(context, Random.Random)
    this.pacers = Pacer.of(Context.get(context, Starts.Current), this.deadlines)
    this.closings = new Closings(this.fork)
    this.announcer = new Announcer(id, this.clock, observers, audience)
    this.sessions = new Sessions(this)
    this.#pool = pool
    this.limit = limitOf(policy, pool, this.deadlines.now)
    this.#rules = Transition.rules(policy, connector)
    this.#turns = new Turns(this)
    this.#timers = new Timers(policy, this, this)
    this.#runs = new Runs(this)
    ClockWatcher.watch(this.clock, this.deadlines, this)
    const begin = Transition.initial(this.#rules)
    this.#model = begin.model
    this.#since = this.clock.currentTimeMillisUnsafe()
    this.#perform(begin)
    this.settle()
  }

  // ------------------------------------------------------------------------------------------- what others may know

  get state(): ConnectionState {
    return (this.#told ??= timed(this.#model.state, this.#since, this.#nextAttemptAt))
  }

  get source(): Connector<Client> {
    return providing<R>(this.#context)(this.connector)
  }

  get replays(): ReplayBudget | undefined {
    if (this.#replays !== undefined || this.policy.replayBudget === "none") return this.#replays
    return (this.#replays = new ReplayBudget(this.policy.replayBudget))
  }

  get subscriptions(): Set<string> {
    return (this.#subscriptions ??= new Set())
  }

  get tag(): ConnectionState["_tag"] {
    return this.#model.state._tag
  }

  get current(): OpenSession<Client> | undefined {
    return admission(this.#model.state) === "run" ? this.sessions.current : undefined
  }

  get detail(): FailureDetail | undefined {
    const { current, detail } = this.sessions
    return current ? current.detail : detail
  }

  get lists(): Known {
    return this.sessions.lists.known
  }

  listen(options: Listening.Options): Listening.Heard {
    return Listening.hear(this, this.sessions, options)
  }

  get untilAttempt(): Duration.Duration | undefined {
    return this.sessions.current === undefined ? this.#until(this.#timers.attemptDueAt) : undefined
  }

  get untilVerdict(): Duration.Duration | undefined {
    return this.#until(this.#runs.attemptEndsAt)
  }

  get waiters(): Set<() => boolean> {
    return (this.#waiters ??= new Set())
  }

  get doubters(): Set<() => void> {
    return (this.#doubters ??= new Set())
  }

  get resting(): Set<() => void> {
    return (this.#resting ??= new Set())
  }

  now(): number {
    return this.deadlines.now()
  }

  isOpen(open: OpenSession<unknown>): boolean {
    return open === this.sessions.current
  }

  #until(at: number | undefined): Duration.Duration | undefined {
    return at === undefined ? undefined : Duration.millis(Math.max(0, at - this.now()))
  }

  // ---------------------------------------------------------------------------------------------------- the signals

  send(signal: Signal): void {
    this.#turns.send(signal)
  }

  later(resume: () => void): void {
    this.#turns.later(resume)
  }

  settle(): void {
    this.#turns.settle()
  }

  take(signal: Signal): void {
    this.#perform(Transition.step(this.#rules, this.#model, signal))
  }

  atRest(): void {
    if (!this.#model.running) this.#flush(this.#resting)
    if (this.#waiters?.size === 0) this.#waiters = undefined
  }

  jumped(): void {
    // a delay that is monotonic ends at another time of the wall clock now
    const left = this.untilAttempt
    if (left !== undefined && this.#nextAttemptAt !== undefined) {
      this.#nextAttemptAt = this.clock.currentTimeMillisUnsafe() + millisOf(left)
      this.#told = undefined
    }
    this.send({ _tag: "Jumped" })
  }

  due(timer: Timer, armedAt: number): void {
    const open = this.sessions.current
    const used = open !== undefined && isUsedSince(open, timer, armedAt)
    this.send({ _tag: "Due", timer, used, calls: open === undefined ? "none" : callsOn(open) })
  }

  began(open: OpenSession<unknown>): void {
    if (Transition.heedsCalls(this.#model) && this.isOpen(open)) this.send({ _tag: "CallStarted" })
  }

  answered(open: OpenSession<unknown>): void {
    open.seen.answer = open.seen.alive
    if (Transition.heedsAnswers(this.#model)) this.send({ _tag: "CallAnswered", generation: open.generation })
  }

  released(open: OpenSession<unknown>): void {
    this.sessions.released(open)
  }

  reconfigure({ connector = this.connector, policy }: Configuration<Client, R>): void {
    const isOther = { connection: connector !== this.connector, policy: !Equal.equals(policy, this.policy) }
    if (!isOther.connection && !isOther.policy) return
    const before = this.policy
    this.connector = connector
    this.policy = policy
    this.staleAfter = millisOf(policy.staleAfter)
    this.#rules = Transition.rules(policy, connector)
    this.#timers.reconfigure(policy)
    const open = this.sessions.current
    if (open && !Equal.equals(before.probe, policy.probe)) Probe.descend(open.ladder)
    // when a call ends is noted only where it matters: until now, one may just have ended
    if (open && before.idleAfter === "never") open.seen.call = this.now()
    const attention = open === undefined ? "never" : Probe.attentionOf(policy.probe, open.session)
    this.emit({ _tag: "Reconfigured", ...isOther, required: policy.required })
    this.send({ _tag: "Reconfigured", ...isOther, attention })
    if (!Equal.equals(before.replayBudget, policy.replayBudget)) this.#replays = undefined
    // last, since calls that waited for their turn may run now
    this.limit = limitOf(policy, this.#pool, this.deadlines.now, this.limit)
  }

  // ---------------------------------------------------------------------------------------------------- the actions

  #perform({ actions, model }: Step): void {
    if (model.state !== this.#model.state) {
      // only who is told of a change wants to know the state that was left
      this.#left = this.isHeard ? this.state : undefined
      this.#told = undefined
      this.#since = this.clock.currentTimeMillisUnsafe()
      this.#nextAttemptAt = undefined
    }
    this.#model = model
    // before the actions: a probe may be begun and answered within one
    const open = this.sessions.current
    if (open && model.stable === "yes") open.stableSince ??= this.now()
    if (open && model.state._tag === "Connected") {
      open.seen.missedSince = undefined
      open.detail = undefined
    }
    for (const action of actions) this.#act(action)
  }

  #act(action: Action): void {
    switch (action._tag) {
      case "Run":
        return this.#runs.start(action, this.#model.generation + 1)
      case "Stop":
        return this.#runs.stop()
      case "Arm":
        return this.#timers.arm(action)
      case "Disarm":
        return this.#timers.disarm(action.timer)
      case "Reset":
        return this.#timers.reset(action.schedule)
      case "Adopt":
        return this.sessions.adopt()
      case "Drop":
        for (const timer of sessionTimers) this.#timers.disarm(timer)
        return this.sessions.drop(action)
      case "DropDraining":
        return this.sessions.dropDraining()
      case "Settle":
        return action.who === "doubters" ? this.#flush(this.#doubters) : this.#askWaiters()
      case "Emit":
        return this.#tell(action.happening)
    }
  }

  #tell(telling: Telling): void {
    if (!this.isHeard) return
    switch (telling._tag) {
      case "Started":
        return this.emit({ _tag: "Started", state: this.state, required: this.policy.required })
      case "StateChanged":
        return this.emit({ _tag: "StateChanged", from: this.#left ?? this.state, to: this.state })
      default:
        return this.emit(telling)
    }
  }

  get isHeard(): boolean {
    return this.announcer.isHeard
  }

  emit(happening: Happening): void {
    this.announcer.emit(happening)
  }

  beginOf(from: Extract<Action, { _tag: "Arm" }>["from"], now: number): number {
    const open = this.sessions.current
    return open && from !== "now" ? lastOf(open, from, now) : now
  }

  scheduled(delay: number): void {
    this.#nextAttemptAt = Number.isFinite(delay) ? this.clock.currentTimeMillisUnsafe() + delay : undefined
    this.#told = undefined
    this.emit({ _tag: "AttemptScheduled", delay: Duration.millis(delay) })
  }

  #askWaiters(): void {
    const waiters = this.#waiters
    if (waiters === undefined) return
    for (const waiter of waiters) this.later(() => waiters.has(waiter) && waiter() && waiters.delete(waiter))
  }

  #flush(listeners: Set<() => void> | undefined): void {
    if (listeners === undefined) return
    for (const listener of listeners) this.later(listener)
    listeners.clear()
  }

  // ---------------------------------------------------------------------------------------------------------- the end

  get end(): Effect.Effect<void> {
    return Effect.suspend(() => {
      ClockWatcher.unwatch(this.clock, this)
      this.send({ _tag: "Closed" })
      this.#timers.disarmAll()
      this.#runs.stop()
      this.sessions.stop()
      return this.closings.ended()
    }).pipe(Effect.ensuring(Effect.sync(() => this.announcer.end())))
  }
}

/** Timers that belong to a session and end with it. */
const sessionTimers: ReadonlyArray<Timer> = ["probe", "stable", "idle", "lifetime", "deep"]
