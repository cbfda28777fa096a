/**
 * Reads the lists of a backend, beside its calls: all of them on every new session, and one again when the server says that it has
 * changed. A list that cannot be read stays as it was, until the next time.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Listed } from "../Connector.ts"
import type { Happening } from "../KeepaliveEvent.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import { type Entry, type Kind, kinds, type Lists as Known } from "../Lists.ts"
import type { Closings } from "./closings.ts"
import type { Deadline, Deadlines } from "./deadlines.ts"
import { type Difference, KeptList } from "./keptList.ts"
import { millisOf } from "./millis.ts"
import type { OpenSession } from "./sessionCell.ts"
import * as Table from "./table.ts"

/** What the lists need of their backend. */
export interface Port {
  readonly policy: KeepalivePolicy
  readonly deadlines: Deadlines
  readonly closings: Closings
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly emit: (happening: Happening) => void
}

/** See the module. */
export class Lists {
  readonly #port: Port
  /** those that are not empty: most servers have tools and nothing else */
  readonly #kept: { [Of in Kind]?: KeptList | undefined } = {}
  /** the session that is read, while it is the current one */
  #open: OpenSession<unknown> | undefined
  #reading: Fiber.Fiber<unknown, unknown> | undefined
  /** what is still to be read of this round, and in the next */
  #left: ReadonlyArray<Kind> = none
  #wanted: ReadonlyArray<Kind> = none
  /** up to when rounds that the server has asked for are used up, in monotonic milliseconds */
  #usedUntil = Number.NEGATIVE_INFINITY
  #nextRound: Deadline | undefined
  #nextRemoval: Deadline | undefined

  constructor(port: Port) {
    this.#port = port
  }

  /** What is known, whether there is a session or not. */
  get known(): Known {
    const of = (kind: Kind): ReadonlyArray<Entry> => this.#kept[kind]?.entries ?? none
    return { tools: of("tools"), prompts: of("prompts"), resources: of("resources") }
  }

  /** There is a new session: everything is read. */
  read(open: OpenSession<unknown>): void {
    this.pause()
    this.#open = open
    this.#left = kinds
    this.#go()
  }

  /** The server says that one has changed. Said again before it is read, that is one reading. */
  changed(kind: Kind): void {
    if (this.#open === undefined || this.#left.includes(kind) || this.#wanted.includes(kind)) return
    this.#wanted = [...this.#wanted, kind]
    if (this.#reading === undefined && this.#nextRound === undefined) this.#go()
  }

  /** There is no session to read from. What goes on is ended, and its end is awaited as that of a session is. */
  pause(): void {
    const { closings, deadlines } = this.#port
    const reading = this.#reading
    this.#open = undefined
    this.#reading = undefined
    this.#left = none
    this.#wanted = none
    deadlines.cancel(this.#nextRound)
    this.#nextRound = undefined
    if (reading === undefined) return
    reading.interruptUnsafe()
    if (reading.pollUnsafe() === undefined) closings.add(Fiber.await(reading))
  }

  /** The backend ends: nothing is told any more. */
  stop(): void {
    this.pause()
    this.#port.deadlines.cancel(this.#nextRemoval)
    this.#nextRemoval = undefined
  }

  // ------------------------------------------------------------------------------------------------------------ reading

  /** One after the other: a server that has just come back has better things to do than three lists at once. */
  #go(): void {
    const open = this.#open
    if (open === undefined) return
    while (open === this.#open && this.#reading === undefined) {
      const kind = this.#left[0]
      if (kind === undefined) {
        if (!this.#beginRound()) return
        continue
      }
      this.#left = this.#left.slice(1)
      this.#ask(open, kind)
    }
  }

  /**
   * Takes what the server has said to be changed, if the time for it has come. Two rounds may follow each other at once, so that what was said
   * while the first was under way is known when that has ended; from then on there is one in a `confirmInterval`, which is how
   * often the policy would have a backend asked that is in doubt. A server that says so without an end is asked no more often.
   */
  #beginRound(): boolean {
    if (this.#wanted.length === 0) return false
    const { deadlines, policy } = this.#port
    const pace = millisOf(policy.confirmInterval)
    const now = deadlines.now()
    const allowedAt = this.#usedUntil - pace
    if (now < allowedAt) {
      this.#nextRound = deadlines.set(allowedAt, () => {
        this.#nextRound = undefined
        // the clock may be a rounding short of it
        this.#usedUntil = Math.min(this.#usedUntil, this.#port.deadlines.now() + pace)
        this.#go()
      })
      return false
    }
    this.#usedUntil = Math.max(this.#usedUntil, now) + pace
    this.#left = this.#wanted
    this.#wanted = none
    return true
  }

  /** Within the time of an attempt: what is not known then is known with the next reading. */
  #ask(open: OpenSession<unknown>, kind: Kind): void {
    const { deadlines, fork, policy } = this.#port
    const list = listing(open, kind)
    // that of a server which has no such list is known without a fiber
    if (isExit(list)) return this.#answered(open, kind, list)
    const reading = fork(list)
    const exit = reading.pollUnsafe()
    if (exit !== undefined) return this.#answered(open, kind, exit)
    this.#reading = reading
    const endsAt = deadlines.now() + millisOf(policy.connectTimeout)
    const deadline = deadlines.set(endsAt, () => reading.interruptUnsafe())
    reading.addObserver((exit) => {
      deadlines.cancel(deadline)
      if (this.#reading !== reading) return
      this.#reading = undefined
      this.#answered(open, kind, exit)
      this.#go()
    })
  }

  #answered(open: OpenSession<unknown>, kind: Kind, exit: Exit.Exit<ReadonlyArray<Listed>, unknown>): void {
    if (Exit.isFailure(exit)) return
    const table = Table.of(exit.value)
    if (kind === "tools") open.tools = table
    // most servers have tools and nothing else
    if (table === Table.empty && this.#kept[kind] === undefined) return
    const { deadlines, policy } = this.#port
    const kept = (this.#kept[kind] ??= new KeptList())
    const now = deadlines.now()
    this.#tell(kind, kept.take(table, now, now + millisOf(policy.removalGrace)))
  }

  // ------------------------------------------------------------------------------------------------------------- telling

  #tell(kind: Kind, difference: Difference): void {
    if (this.#kept[kind]?.isEmpty === true) this.#kept[kind] = undefined
    this.#awaitRemoval()
    const { added, changed, removed } = difference
    if (added.length + changed.length + removed.length === 0) return
    this.#port.emit({ _tag: "ListChanged", kind, added, removed, changed })
  }

  /** One deadline for all that is to be removed. */
  #awaitRemoval(): void {
    const { deadlines } = this.#port
    deadlines.cancel(this.#nextRemoval)
    let at = Number.POSITIVE_INFINITY
    for (const kind of kinds) at = Math.min(at, this.#kept[kind]?.nextRemoval ?? Number.POSITIVE_INFINITY)
    this.#nextRemoval = at === Number.POSITIVE_INFINITY ? undefined : deadlines.set(at, () => this.#remove(at))
  }

  #remove(now: number): void {
    this.#nextRemoval = undefined
    for (const kind of kinds) {
      const removed = this.#kept[kind]?.expire(now)
      if (removed !== undefined) this.#tell(kind, { added: none, removed, changed: none })
    }
  }
}

/** A transport that throws as it is asked is as one whose reading dies. */
const listing = ({ session }: OpenSession<unknown>, kind: Kind): ReturnType<typeof session.list> => {
  try {
    return session.list(kind)
  } catch (defect) {
    return Effect.die(defect)
  }
}

const isExit = <A, E>(effect: Effect.Effect<A, E>): effect is Exit.Exit<A, E> => Exit.isExit(effect)

const none: ReadonlyArray<never> = []
