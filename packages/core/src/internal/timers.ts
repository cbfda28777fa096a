/**
 * The timers of one backend: how long each takes is decided by a schedule, and when it is due by the queue of all backends.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Random from "effect/Random"
import type { Action } from "../engine/Action.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import { Delays } from "./delays.ts"
import type { Timer } from "../engine/Signal.ts"
import type { Deadline, Deadlines } from "./deadlines.ts"
import { millisOf } from "./millis.ts"

type Arm = Extract<Action, { _tag: "Arm" }>

/** What the timers need to know of their backend, and whom they tell. Times are monotonic milliseconds. */
export interface Port {
  /** when a delay begins that is armed now */
  readonly beginOf: (from: Arm["from"], now: number) => number
  /** the time of a timer that was armed then has come */
  readonly due: (timer: Timer, armedAt: number) => void
  /** the next attempt is due after so many milliseconds */
  readonly scheduled: (delay: number) => void
}

/** What they need of what is around the backend. */
export interface Surroundings {
  readonly clock: Clock.Clock
  readonly deadlines: Deadlines
  readonly random: Random.Random
  readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
}

/** A schedule of the user's may take its time to decide: then a fiber waits for it. */
type Armed = Deadline | Fiber.Fiber<number>

/** See the module. */
export class Timers {
  readonly #port: Port
  readonly #around: Surroundings
  #delays: Delays
  /** the least delay of the cadence that is drawn at random, in milliseconds; infinite where the cadence is one's own */
  #loose: number
  readonly #armed: { [Name in Timer]: Armed | undefined } = {
    probe: undefined,
    attempt: undefined,
    stable: undefined,
    idle: undefined,
    lifetime: undefined,
    deep: undefined
  }
  #attemptDueAt: number | undefined
  /** while it is being decided whether the attempt that is armed comes sooner */
  #sooner: Fiber.Fiber<number> | undefined

  constructor(policy: KeepalivePolicy, around: Surroundings, port: Port) {
    this.#port = port
    this.#around = around
    this.#delays = new Delays(policy)
    this.#loose = looseOf(policy)
  }

  /** Delays that are asked for from now on are those of another policy, from its schedules' beginning. */
  reconfigure(policy: KeepalivePolicy): void {
    this.#delays = new Delays(policy)
    this.#loose = looseOf(policy)
  }

  /** when the next attempt is due, in monotonic milliseconds; `undefined` where none is armed */
  get attemptDueAt(): number | undefined {
    return this.#attemptDueAt
  }

  /** In place of the one of that name that is armed; where only a sooner one is wanted, that one may stay. */
  arm({ from, notBefore, schedule, sooner, timer }: Arm): void {
    const kept = sooner ? this.#armed[timer] : undefined
    const keptAt = kept === undefined || timer !== "attempt" ? undefined : this.#attemptDueAt
    if (keptAt === undefined) this.disarm(timer)
    const { clock, deadlines, fork, random } = this.#around
    const armedAt = deadlines.now()
    const decided = (delay: number) => {
      const at = this.#port.beginOf(from, armedAt) + delay
      if (keptAt !== undefined) {
        if (this.#attemptDueAt !== keptAt || at >= keptAt) return
        this.disarm(timer)
      }
      this.#set(timer, schedule === "cadence" ? together(at, delay, this.#loose) : at, armedAt)
    }
    const next = this.#delays.next(schedule, clock.currentTimeMillisUnsafe(), random, notBefore)
    if (typeof next === "number") return decided(next)
    const deciding = fork(next)
    if (deciding.pollUnsafe() === undefined) {
      if (keptAt === undefined) this.#armed[timer] = deciding
      else this.#decideSooner(deciding)
    }
    deciding.addObserver((exit) => {
      if (Exit.isSuccess(exit)) decided(exit.value)
    })
  }

  disarm(timer: Timer): void {
    if (timer === "attempt") this.#leaveAttempt()
    const armed = this.#armed[timer]
    if (armed === undefined) return
    this.#armed[timer] = undefined
    if (Fiber.isFiber(armed)) armed.interruptUnsafe()
    else this.#around.deadlines.cancel(armed)
  }

  disarmAll(): void {
    for (const timer of all) this.disarm(timer)
  }

  /** The schedule begins anew. */
  reset(schedule: Arm["schedule"]): void {
    this.#delays.reset(schedule)
  }

  #leaveAttempt(): void {
    this.#attemptDueAt = undefined
    this.#decideSooner(undefined)
  }

  /** In place of who decides so far: nobody waits for that any more. */
  #decideSooner(deciding: Fiber.Fiber<number> | undefined): void {
    this.#sooner?.interruptUnsafe()
    this.#sooner = deciding
  }

  #set(timer: Timer, at: number, armedAt: number): void {
    const { deadlines } = this.#around
    if (timer === "attempt") {
      this.#attemptDueAt = at
      this.#port.scheduled(Math.max(0, at - armedAt))
    }
    const come = () => {
      this.#armed[timer] = undefined
      if (timer === "attempt") this.#leaveAttempt()
      this.#port.due(timer, armedAt)
    }
    if (at <= deadlines.now()) return come()
    this.#armed[timer] = deadlines.set(at, come)
  }
}

const looseOf = (policy: KeepalivePolicy): number =>
  policy.cadence === undefined ? 0.9 * millisOf(policy.interval) : Number.POSITIVE_INFINITY

/**
 * Probes of a cadence that is drawn at random need not be exact: those of all backends that are due within a hundredth of their
 * delay come in one turn, a little earlier, because to wake up for each costs more than to ask (Linux calls it timer slack).
 * None comes before the least delay.
 */
const together = (at: number, delay: number, least: number): number => {
  if (delay <= least) return at
  const grid = 2 ** Math.floor(Math.log2(delay / 100))
  const earlier = Math.floor(at / grid) * grid
  return at - earlier <= delay - least ? earlier : at
}

const all: ReadonlyArray<Timer> = ["probe", "attempt", "stable", "idle", "lifetime", "deep"]
